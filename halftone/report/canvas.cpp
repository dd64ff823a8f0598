#include "halftone/report/canvas.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/report/stroke_font.h"

namespace halftone::report {
namespace {

double distance_to_segment(PixelPoint p, PixelPoint a, PixelPoint b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length2 = dx * dx + dy * dy;
  const double along =
      length2 == 0 ? 0 : std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0);
  return std::hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

PixelPoint between(PixelPoint a, PixelPoint b, double t) {
  return {a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t};
}

// Calls draw(a, b) for the drawn parts of a polyline; `dashes` alternates drawn and not drawn.
template <class Draw>
void walk_dashes(const std::vector<PixelPoint>& points, const std::vector<double>& dashes,
                 Draw&& draw) {
  std::size_t part = 0;
  double left = dashes[0];
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const PixelPoint a = points[i], b = points[i + 1];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    double done = 0;
    while (done < length) {
      const double step = std::min(left, length - done);
      if (part % 2 == 0) draw(between(a, b, done / length), between(a, b, (done + step) / length));
      done += step;
      left -= step;
      if (left > 0) continue;
      part = (part + 1) % dashes.size();
      left = dashes[part];
    }
  }
}

}  // namespace

Canvas::Canvas(int width, int height) : width_(width), height_(height) {
  if (width < 1 || height < 1 || width > 16384 || height > 16384) {
    throw Error(std::to_string(width) + " x " + std::to_string(height), "1 to 16384 pixels",
                "canvas");
  }
  rgb_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 255);
}

Canvas::Canvas(int width, int height, std::vector<unsigned char> rgb) : Canvas(width, height) {
  if (rgb.size() != rgb_.size()) {
    throw Error(std::to_string(rgb.size()) + " bytes", std::to_string(rgb_.size()), "canvas");
  }
  rgb_ = std::move(rgb);
}

Colour Canvas::pixel(int x, int y) const {
  const auto i = (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                  static_cast<std::size_t>(x)) *
                 3;
  return {rgb_[i], rgb_[i + 1], rgb_[i + 2]};
}

void Canvas::blend(int x, int y, double coverage, Colour colour) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_ || coverage <= 0) return;
  unsigned char* at = &rgb_[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                             static_cast<std::size_t>(x)) *
                            3];
  coverage = std::min(coverage, 1.0);
  for (std::size_t c = 0; c < 3; ++c) {
    at[c] = static_cast<unsigned char>(std::lround(at[c] + (colour[c] - at[c]) * coverage));
  }
}

void Canvas::draw_segment(PixelPoint a, PixelPoint b, double width, Colour colour) {
  const double reach = width / 2 + 1;
  const int x0 = std::max(0, static_cast<int>(std::min(a.x, b.x) - reach));
  const int x1 = std::min(width_ - 1, static_cast<int>(std::max(a.x, b.x) + reach));
  const int y0 = std::max(0, static_cast<int>(std::min(a.y, b.y) - reach));
  const int y1 = std::min(height_ - 1, static_cast<int>(std::max(a.y, b.y) + reach));
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const double distance = distance_to_segment({x + 0.5, y + 0.5}, a, b);
      blend(x, y, width / 2 + 0.5 - distance, colour);
    }
  }
}

void Canvas::draw_polyline(const std::vector<PixelPoint>& points, double width, Colour colour,
                           const std::vector<double>& dashes) {
  if (points.size() == 1) draw_segment(points[0], points[0], width * 1.3, colour);
  if (!dashes.empty()) {
    walk_dashes(points, dashes,
                [&](PixelPoint a, PixelPoint b) { draw_segment(a, b, width, colour); });
    return;
  }
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    draw_segment(points[i], points[i + 1], width, colour);
  }
}

void Canvas::fill_polygon(const std::vector<PixelPoint>& corners, Colour colour) {
  double left = width_, right = 0, top = height_, bottom = 0;
  for (const auto& c : corners) {
    left = std::min(left, c.x);
    right = std::max(right, c.x);
    top = std::min(top, c.y);
    bottom = std::max(bottom, c.y);
  }
  for (int y = static_cast<int>(top) - 1; y <= static_cast<int>(bottom) + 1; ++y) {
    for (int x = static_cast<int>(left) - 1; x <= static_cast<int>(right) + 1; ++x) {
      double coverage = 1;  // the least over the edges of the distance inside, plus half a pixel
      for (std::size_t i = 0; i < corners.size(); ++i) {
        const PixelPoint a = corners[i], b = corners[(i + 1) % corners.size()];
        const double cross = (b.x - a.x) * (y + 0.5 - a.y) - (b.y - a.y) * (x + 0.5 - a.x);
        coverage = std::min(coverage, cross / std::hypot(b.x - a.x, b.y - a.y) + 0.5);
      }
      blend(x, y, coverage, colour);
    }
  }
}

void Canvas::draw_text(double x, double y, const std::string& text, double size, double anchor,
                       Colour colour, double weight) {
  StrokeText glyphs = stroke_text(text, size);
  for (auto& stroke : glyphs.strokes) {
    for (auto& point : stroke) {
      point.x += x - anchor * glyphs.width;
      point.y += y;
    }
    draw_polyline(stroke, weight * size / 7, colour);
  }
}

}  // namespace halftone::report
