#include "tokenizer/protobuf_reader.h"

#include <cstring>

#include "base/error.h"

namespace farthing::tokenizer {

namespace {

constexpr std::string_view kHint = "the file may be truncated or not be what its name says; fetch it again";

}  // namespace

std::uint64_t ProtobufReader::read_varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1)[0]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  throw Error(Code::kCorruptData, "not a protocol buffer: a number does not end", {}, std::string(kHint));
}

std::string_view ProtobufReader::take(std::uint64_t size) {
  FARTHING_REQUIRE(size <= rest_.size(), Code::kCorruptData, "protocol buffer is cut short",
                   {{"field", field_}, {"needs bytes", size}, {"has bytes", rest_.size()}},
                   std::string(kHint));
  const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
  rest_.remove_prefix(static_cast<std::size_t>(size));
  return taken;
}

bool ProtobufReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t tag = read_varint();
  const std::uint64_t number = tag >> 3;
  FARTHING_REQUIRE(number > 0 && number < (1u << 29), Code::kCorruptData,
                   "not a protocol buffer: impossible field number", {{"field", number}}, std::string(kHint));
  field_ = static_cast<int>(number);
  type_ = static_cast<WireType>(tag & 7);
  switch (type_) {
    case WireType::kVarint:
      varint_ = read_varint();
      return true;
    case WireType::kFixed64:
      bytes_ = take(8);
      return true;
    case WireType::kBytes:
      bytes_ = take(read_varint());
      return true;
    case WireType::kFixed32:
      bytes_ = take(4);
      return true;
  }
  throw Error(Code::kCorruptData, "not a protocol buffer: unknown wire type",
              {{"field", field_}, {"type", tag & 7}}, std::string(kHint));
}

void ProtobufReader::require_type(WireType type) const {
  FARTHING_REQUIRE(type_ == type, Code::kCorruptData, "field of a protocol buffer has another type",
                   {{"field", field_}}, std::string(kHint));
}

std::int64_t ProtobufReader::integer() const {
  require_type(WireType::kVarint);
  return static_cast<std::int64_t>(varint_);
}

float ProtobufReader::number() const {
  require_type(WireType::kFixed32);
  float value = 0;
  std::memcpy(&value, bytes_.data(), sizeof value);
  return value;
}

std::string_view ProtobufReader::bytes() const {
  require_type(WireType::kBytes);
  return bytes_;
}

}  // namespace farthing::tokenizer
