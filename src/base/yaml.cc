#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include "base/error.h"

namespace farthing {
namespace {

Json to_json(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map: {
      Json object = Json::object();
      for (const auto& item : node) object[item.first.as<std::string>()] = to_json(item.second);
      return object;
    }
    case YAML::NodeType::Sequence: {
      Json array = Json::array();
      for (const auto& item : node) array.push_back(to_json(item));
      return array;
    }
    case YAML::NodeType::Scalar: {
      const std::string text = node.Scalar();
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
    return to_json(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    throw Error(Code::kInvalidArgument, "the file is not valid YAML",
                {{"file", origin}, {"line", error.mark.line + 1}, {"reason", error.msg}});
  }
}

}  // namespace farthing
