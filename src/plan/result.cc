#include "plan/result.h"

namespace farthing::plan {

Json FoldResult::to_json() const {
  Json json = {{"transform", transform},
               {"smooth", smooth},
               {"balance", balance},
               {"smallest_scale", smallest_scale},
               {"largest_scale", largest_scale}};
  if (search) {
    json["ratio"] = search->ratio;
    json["duo"] = search->duo;
    json["loss"] = search->loss;
    json["unscaled_loss"] = search->unscaled_loss;
  }
  return json;
}

FoldResult FoldResult::from_json(const Json& json) {
  FoldResult result{.transform = json.at("transform"),
                    .smooth = json.at("smooth"),
                    .balance = json.at("balance"),
                    .smallest_scale = json.at("smallest_scale"),
                    .largest_scale = json.at("largest_scale")};
  if (json.contains("ratio")) {
    result.search = Search{.ratio = json.at("ratio"),
                           .duo = json.at("duo"),
                           .loss = json.at("loss"),
                           .unscaled_loss = json.at("unscaled_loss")};
  }
  return result;
}

}  // namespace farthing::plan
