#include "tokenizer/jinja/object.h"

#include <algorithm>

#include "tokenizer/jinja/print.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::size_t kObjectBytes = 512;  // what one object may cost in memory, roughly

template <typename Entries>
auto find_entry(Entries& entries, std::string_view name) {
  return std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == name; });
}

void set_entry(std::vector<std::pair<std::string, Value>>& entries, std::string_view name, Value value) {
  if (const auto entry = find_entry(entries, name); entry != entries.end()) {
    entry->second = std::move(value);
  } else {
    entries.emplace_back(name, std::move(value));
  }
}

}  // namespace

std::string Object::describe(Budget&) const {
  return fmt::format("<{} object>", type_name());
}
std::optional<Value> Object::attribute(Runtime&, std::string_view) {
  return {};
}
Value Object::call(Runtime&, Arguments) {
  fail("'{}' object is not callable", type_name());
}

std::string Namespace::describe(Budget& budget) const {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : attributes_) entries.emplace_back(Value::text(name), value);
  return fmt::format("<Namespace {}>", repr(Value::dict(std::move(entries)), budget));
}

std::optional<Value> Namespace::attribute(Runtime&, std::string_view name) {
  const auto entry = find_entry(attributes_, name);
  return entry == attributes_.end() ? std::nullopt : std::optional(entry->second);
}

void Namespace::set(std::string_view name, Value value) {
  set_entry(attributes_, name, std::move(value));
}

const Value* Scope::find(std::string_view name, Budget& budget) const {
  for (const Scope* scope = this; scope; scope = scope->parent_.get()) {
    budget.charge(1 + scope->variables_.size());
    if (const auto entry = find_entry(scope->variables_, name); entry != scope->variables_.end())
      return &entry->second;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  set_entry(variables_, name, std::move(value));
}

Arena::~Arena() {
  for (const auto& scope : scopes_) {
    scope->variables_.clear();
    scope->parent_.reset();
  }
  for (const auto& object : namespaces_) object->clear();
}

std::shared_ptr<Namespace> Arena::make_namespace(Budget& budget) {
  budget.charge(kObjectBytes);
  return namespaces_.emplace_back(std::make_shared<Namespace>());
}

void Arena::keep(const std::shared_ptr<Scope>& scope, Budget& budget) {
  for (std::shared_ptr<Scope> next = scope; next; next = next->parent()) {
    if (next->kept_) return;
    budget.charge(kObjectBytes);
    next->kept_ = true;
    scopes_.push_back(next);
  }
}

}  // namespace farthing::tokenizer::jinja
