#include "report/html_report.h"

#include <algorithm>
#include <map>
#include <span>

#include <fmt/format.h>

#include "base/units.h"
#include "report/quantize_report.h"

namespace farthing::report {
namespace {

using plan::LayerResult;
using plan::QuantizeResult;

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fff; --line: #d9d9e0; --bar: #b4690e; --faint: #f6f3ee }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --paper: #16181a; --line: #363a3f; --bar: #e8a33d; --faint: #212325 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
.soft { color: var(--soft) } code, pre, svg text { font-family: ui-monospace, monospace; font-size: 12px }
pre { background: var(--faint); padding: .8rem; overflow-x: auto } svg text { fill: var(--ink) }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1rem 0 }
.facts div { background: var(--faint); padding: .6rem .8rem } .facts b { display: block; font-size: 1.15rem }
.scroll { overflow-x: auto } table { border-collapse: collapse } td, th { text-align: left; padding: .15rem .9rem .15rem 0; border-bottom: 1px solid var(--line) }
td.number { text-align: right; font-variant-numeric: tabular-nums }
)";

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("<div><span class=\"soft\">{}</span><b>{}</b></div>\n", name, escape_html(value));
}

std::vector<const LayerResult*> worst_first(std::span<const LayerResult> layers) {
  std::vector<const LayerResult*> order;
  for (const LayerResult& layer : layers) order.push_back(&layer);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->relative_error > b->relative_error; });
  return order;
}

// Horizontal bars, one per layer.
std::string error_bars(std::span<const LayerResult* const> layers) {
  constexpr int kRowHeight = 18, kLabelWidth = 420, kBarWidth = 360;
  const double largest = std::max(layers.front()->relative_error, 1e-12);
  std::string svg = fmt::format(
      "<svg role=\"img\" aria-label=\"relative error of each layer\" width=\"{}\" height=\"{}\">\n",
      kLabelWidth + kBarWidth + 80, kRowHeight * layers.size() + 4);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const double width = layers[i]->relative_error / largest * kBarWidth;
    const std::size_t y = kRowHeight * i;
    svg += fmt::format(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
        "<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"var(--bar)\"/>"
        "<text x=\"{:.1f}\" y=\"{}\">{:.4f}</text>\n",
        kLabelWidth - 8, y + 13, escape_html(layers[i]->name), kLabelWidth, y + 3, width, kRowHeight - 6,
        kLabelWidth + width + 6, y + 13, layers[i]->relative_error);
  }
  return "<div class=\"scroll\">" + svg + "</svg></div>\n";
}

// "model.layers.12.mlp.down_proj" stands in column 12 of row "mlp.down_proj"; false without a block number.
bool split_block(const std::string& name, std::size_t& block, std::string& part) {
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    const std::size_t end = name.find_first_not_of("0123456789", dot + 1);
    if (end == std::string::npos || end == dot + 1 || name[end] != '.' || end - dot > 7) continue;
    block = std::stoul(name.substr(dot + 1, end - dot - 1));
    part = name.substr(end + 1);
    return true;
  }
  return false;
}

// A field of squares, blocks from left to right and kinds of layers from top to bottom; the fuller, the
// worse.
std::string error_map(std::span<const LayerResult> layers) {
  constexpr std::size_t kCell = 16, kLabelWidth = 190;
  std::map<std::string, std::map<std::size_t, const LayerResult*>> rows;
  std::size_t last_block = 0;
  double largest = 1e-12;
  for (const LayerResult& layer : layers) {
    std::size_t block = 0;
    std::string part;
    if (!split_block(layer.name, block, part)) continue;
    rows[part][block] = &layer;
    last_block = std::max(last_block, block);
    largest = std::max(largest, layer.relative_error);
  }
  if (rows.empty()) return "";
  std::string svg = fmt::format(
      "<svg role=\"img\" aria-label=\"relative error by block and kind of layer\" width=\"{}\" "
      "height=\"{}\">\n",
      kLabelWidth + kCell * (last_block + 2), kCell * (rows.size() + 1));
  std::size_t y = 0;
  for (const auto& [part, cells] : rows) {
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", kLabelWidth - 8, y + 12,
                       escape_html(part));
    for (const auto& [block, layer] : cells) {
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"var(--bar)\" "
          "fill-opacity=\"{:.2f}\"><title>{}: "
          "{:.4f}</title></rect>",
          kLabelWidth + kCell * block, y + 1, kCell - 2, kCell - 2,
          0.08 + 0.92 * layer->relative_error / largest, escape_html(layer->name), layer->relative_error);
    }
    svg += "\n";
    y += kCell;
  }
  return "<h2>Where in the model</h2>\n<p class=\"soft\">Blocks from left to right; the fuller, the larger "
         "the "
         "relative error.</p>\n<div class=\"scroll\">" +
         svg + "</svg></div>\n";
}

std::string layer_table(std::span<const LayerResult* const> layers) {
  std::string html =
      "<details><summary>All layers</summary><div "
      "class=\"scroll\"><table>\n<tr><th>layer<th>method<th>scheme<th>"
      "relative error<th>SQNR, dB<th>mean squared error<th>dampening<th>seconds</tr>\n";
  for (const LayerResult* layer : layers) {
    html += fmt::format(
        "<tr><td><code>{}</code><td>{}<td>{}<td class=\"number\">{:.5f}<td class=\"number\">{:.1f}<td "
        "class=\"number\">{:.3g}<td class=\"number\">{}<td class=\"number\">{:.2f}</tr>\n",
        escape_html(layer->name), escape_html(layer->method), escape_html(layer->scheme),
        layer->relative_error, layer->sqnr_db, layer->mse, layer->dampening, layer->seconds);
  }
  return html + "</table></div></details>\n";
}

std::string errors(const QuantizeResult& result) {
  constexpr std::size_t kMostBars = 40;
  if (result.layers.empty()) return "";
  const auto order = worst_first(result.layers);
  const std::span<const LayerResult* const> shown(order.data(), std::min(kMostBars, order.size()));
  std::string html = fmt::format(
      "<h2>Error of each layer</h2>\n<p class=\"soft\">Relative error of the layer's output over the "
      "calibration "
      "inputs, or of its weights where nothing was calibrated; the {} worst of {}.</p>\n",
      shown.size(), order.size());
  return html + error_bars(shown) + error_map(result.layers) + layer_table(order);
}

std::string deviations(const QuantizeResult& result) {
  std::string html = "<h2>Deviations</h2>\n";
  if (result.deviations.empty()) return html + "<p>None: everything was done as planned.</p>\n";
  html += "<table>\n";
  for (const auto& [module, what] : result.deviations) {
    html += fmt::format("<tr><td><code>{}</code><td>{}</tr>\n", escape_html(module), escape_html(what));
  }
  return html + "</table>\n";
}

std::string calibration(const QuantizeResult& result) {
  std::string html = "<h2>Calibration</h2>\n";
  if (result.calibration_samples == 0) return html + "<p>None: the method needs no data.</p>\n";
  html += fmt::format("<p>{} samples, {} tokens, from <code>{}</code>.</p>\n", result.calibration_samples,
                      result.calibration_tokens, escape_html(result.calibration.value("source", "")));
  const Json rejected = result.calibration.value("rejected", Json::array());
  if (rejected.empty()) return html + "<p>No record was rejected.</p>\n";
  html += fmt::format("<details><summary>{} records were rejected</summary><table>\n", rejected.size());
  for (const Json& record : rejected) {
    html += fmt::format("<tr><td><code>{}</code><td>{}</tr>\n", escape_html(record.value("origin", "")),
                        escape_html(record.value("reason", "")));
  }
  return html + "</table></details>\n";
}

// How evenly the routers spread the calibration tokens.
std::string experts(const QuantizeResult& result) {
  if (result.experts.empty()) return "";
  std::string html = fmt::format(
      "<h2>Experts</h2>\n<p class=\"soft\">Calibration tokens that were routed to each expert; {} were sent "
      "none.</p>\n<details><summary>All experts</summary><div class=\"scroll\"><table>\n",
      experts_without_token(result).size());
  for (const plan::ExpertTokens& block : result.experts)
    html += fmt::format("<tr><td><code>{}</code><td>{}</tr>\n", escape_html(block.path),
                        fmt::join(block.tokens, " "));
  return html + "</table></div></details>\n";
}

std::string left_alone(const QuantizeResult& result) {
  std::string html = fmt::format(
      "<h2>Left as they were</h2>\n<details><summary>{} linears; embeddings and norms always "
      "are</summary><ul>\n",
      result.ignored.size());
  for (const std::string& module : result.ignored)
    html += fmt::format("<li><code>{}</code>\n", escape_html(module));
  return html + "</ul></details>\n";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string html_report(const QuantizeResult& result) {
  const std::string title = escape_html(fmt::format("{} \u2192 {}", result.model, result.scheme));
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\">\n<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n<p "
      "class=\"soft\">{2}, written as {3} by Farthing</p>\n<div class=\"facts\">\n",
      title, kStyle, escape_html(result.method), escape_html(result.format));
  html += fact("bits per weight", fmt::format("{:.2f}", result.bits_per_weight));
  html +=
      fact("size", fmt::format("{} of {}", format_bytes(result.bytes_out), format_bytes(result.bytes_in)));
  html += fact("linears quantized", fmt::to_string(result.layers.size()));
  html += fact("time", format_duration(result.seconds));
  html += fact("peak memory", format_bytes(result.peak_host_bytes));
  if (result.peak_device_bytes > 0)
    html += fact("peak device memory", format_bytes(result.peak_device_bytes));
  html += "</div>\n" + deviations(result) + errors(result) + calibration(result) + experts(result) +
          left_alone(result);
  html += fmt::format("<h2>Recipe</h2>\n<pre>{}</pre>\n", escape_html(result.recipe));
  html += fmt::format("<h2>Hash</h2>\n<p>SHA-256 of the weights: <code>{}</code></p>\n</body></html>\n",
                      escape_html(result.sha256));
  return html;
}

}  // namespace farthing::report
