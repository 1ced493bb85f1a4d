// Reads the pickles inside PyTorch checkpoints without Python and without running anything: a machine for the
// few opcodes that dictionaries of tensors need. Every class or function that a pickle names is looked up in
// a fixed list (torch_globals.cc) and interpreted as data; any other name is refused. Format:
// https://github.com/python/cpython/blob/main/Lib/pickletools.py
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "checkpoint/byte_reader.h"
#include "tensor/tensor.h"

namespace farthing::checkpoint::pickle {

struct Value;
using Ref = Value*;  // owned by the Unpickler

struct None {};
struct Opaque {};  // allowed, but of no meaning for weights: a device, a set, a huge integer
struct Tuple {
  std::vector<Ref> items;
};
struct List {
  std::vector<Ref> items;
};
struct Dict {
  std::vector<std::pair<Ref, Ref>> items;
};

/// A class or function of the list, such as "torch._utils._rebuild_tensor_v2"; `name` points into the list.
struct Symbol {
  std::string_view name;
};

/// Elements `[offset, offset + num_elements)` of the stored bytes that `key` names. An untyped storage has no
/// dtype and counts bytes.
struct Storage {
  std::optional<DType> dtype;
  std::string key;
  std::uint64_t offset = 0;
  std::uint64_t num_elements = 0;
};

/// A view of a storage; offset and strides in elements.
struct TensorView {
  Ref storage = nullptr;
  DType dtype = DType::kF32;
  std::uint64_t offset = 0;
  Shape shape;
  Shape strides;
};

struct Value {
  std::variant<None, Opaque, bool, std::int64_t, double, std::string, Tuple, List, Dict, Symbol, Storage,
               TensorView>
      data;

  template <typename T>
  T* get() {
    return std::get_if<T>(&data);
  }
  template <typename T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
};

/// Reads consecutive pickles of one span. Values live as long as the Unpickler.
class Unpickler {
 public:
  /// `file` is named in errors.
  Unpickler(std::span<const std::byte> bytes, std::string file, std::size_t position = 0);

  /// Reads one pickle. Throws kCorruptData when it is damaged or too large, kUnsupported when it asks for
  /// anything but data of tensors.
  const Value& load();

  /// Where the next pickle would begin.
  std::size_t position() const { return reader_.position(); }

  /// Every storage seen so far.
  std::vector<const Storage*> storages() const;

 private:
  bool push_constant(std::uint8_t opcode);
  bool push_text(std::uint8_t opcode);
  bool use_memo(std::uint8_t opcode);
  bool build_container(std::uint8_t opcode);
  bool call_symbol(std::uint8_t opcode);

  template <typename T>
  Ref add(T data);
  void push(Ref value);
  Ref pop();
  Ref top();
  std::vector<Ref> pop_to_mark();
  Ref tuple_of(std::size_t count);
  void append_to_list(const std::vector<Ref>& items);
  void set_items(const std::vector<Ref>& items);
  void memoize(std::uint32_t index);
  Ref recall(std::uint32_t index);
  Ref integer(std::uint32_t num_bytes);
  Ref symbol(std::string_view module, std::string_view name);
  [[noreturn]] void fail(std::string_view reason) const;

  ByteReader reader_;
  std::deque<Value> values_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, Ref> memo_;
};

/// What the names of the list mean. Both return nothing for anything else.
std::optional<Symbol> find_symbol(std::string_view module, std::string_view name);

/// The value that calling `symbol` with `arguments` stands for, without a call: OrderedDict(),
/// _rebuild_tensor_v2(...). Nothing when it cannot be called like this.
std::optional<Value> interpret_call(const Symbol& symbol, const std::vector<Ref>& arguments);

/// The storage that a persistent id ("storage", type, key, location, elements[, view]) stands for.
std::optional<Storage> interpret_persistent_id(const Value& id);

}  // namespace farthing::checkpoint::pickle
