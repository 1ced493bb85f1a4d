// Qwen 2-Audio: Whisper's encoder, its states averaged two at a time, one linear, and a text decoder.
#include "models/families.h"
#include "models/parts.h"
#include "models/whisper.h"

namespace farthing::models {

nn::ModelSpec declare_qwen2_audio(const Config& config) {
  nn::ModelSpec model = text_model(config, "qwen2_audio", "Qwen2AudioForConditionalGeneration",
                                   composite_decoder(config, "qwen2"));
  model.audio = whisper_tower(config.child("audio_config"),
                              {.class_prefix = "Qwen2Audio",
                               .hidden_size = 1280,
                               .intermediate_size = 5120,
                               .num_layers = 32,
                               .num_heads = 20,
                               .num_mel_bins = 128},
                              "model.audio_tower");
  model.audio->pool = 2;
  model.audio->masked = true;
  model.projector =
      nn::ProjectorSpec{.path = "model.multi_modal_projector",
                        .class_name = "Qwen2AudioMultiModalProjector",
                        .linears = {{"linear", model.audio->hidden_size, model.decoder.hidden_size, true}}};
  model.image_token_id = config.integer(config.spelling({"audio_token_id", "audio_token_index"}), 151646);
  model.names = composite_names("audio_tower", "multi_modal_projector");
  // What transformers 5.17 writes.
  model.names.insert(model.names.begin(), {"language_model.model.model.", "model.language_model."});
  model.default_ignore = {"re:.*lm_head", "re:.*audio_tower.*", "re:.*multi_modal_projector.*"};
  return model;
}

}  // namespace farthing::models
