#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include "base/error.h"

namespace farthing {
namespace {

// Aliases let a short text stand for a huge one, so nodes are counted.
Json to_json(const YAML::Node& node, int& nodes_left) {
  if (--nodes_left < 0) throw YAML::Exception(node.Mark(), "too many values");
  switch (node.Type()) {
    case YAML::NodeType::Map: {
      Json object = Json::object();
      for (const auto& item : node) object[item.first.as<std::string>()] = to_json(item.second, nodes_left);
      return object;
    }
    case YAML::NodeType::Sequence: {
      Json array = Json::array();
      for (const auto& item : node) array.push_back(to_json(item, nodes_left));
      return array;
    }
    case YAML::NodeType::Scalar: {
      const std::string& text = node.Scalar();
      if (node.Tag() == "!") return text;  // quoted
      if (text == "null" || text == "~" || text.empty() || text == "None") return nullptr;
      if (text == "true" || text == "True") return true;
      if (text == "false" || text == "False") return false;
      std::int64_t integer = 0;
      if (YAML::convert<std::int64_t>::decode(node, integer)) return integer;
      double number = 0;
      if (YAML::convert<double>::decode(node, number)) return number;
      return text;
    }
    default:
      return nullptr;
  }
}

}  // namespace

Json parse_yaml(const std::string& text, const std::string& origin) {
  try {
    int nodes_left = 100'000;
    return to_json(YAML::Load(text), nodes_left);
  } catch (const YAML::Exception& error) {
    throw Error(Code::kInvalidArgument, "the file is not valid YAML",
                {{"file", origin}, {"line", error.mark.line + 1}, {"reason", error.msg}});
  }
}

}  // namespace farthing
