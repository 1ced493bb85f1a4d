// The wire format of protocol buffers, as far as reading a message needs it.
// https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstdint>
#include <string_view>

namespace farthing::tokenizer {

/// Walks the fields of one message. A nested message is a field of bytes to be walked in turn.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  /// Moves to the next field; false at the end. Throws kCorruptData when the message is cut short or
  /// malformed.
  bool next();

  int field() const { return field_; }

  /// The value of the current field. Each throws kCorruptData when the field has another wire type.
  std::int64_t integer() const;
  bool boolean() const { return integer() != 0; }
  float number() const;
  std::string_view bytes() const;

 private:
  enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  std::uint64_t read_varint();
  std::string_view take(std::uint64_t size);
  void require_type(WireType type) const;

  std::string_view rest_;
  int field_ = 0;
  WireType type_ = WireType::kVarint;
  std::uint64_t varint_ = 0;
  std::string_view bytes_;
};

}  // namespace farthing::tokenizer
