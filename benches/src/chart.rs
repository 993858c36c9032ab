//! Charts as SVG, without fonts of this system: lines over threads or sizes, and bars.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::engines::{Kind, ROWS};
use crate::report::short;

/// A row's line: its name, and what it reached at each place of the chart that it was measured at.
pub(crate) struct Line {
    pub(crate) row: &'static str,
    pub(crate) points: Vec<(usize, f64)>,
}

/// What a chart of lines shows; rates grow by factors.
pub(crate) struct Axes {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    /// The places across, at equal distances.
    pub(crate) places: Vec<String>,
}

/// Writes a chart of `lines` to `path`.
pub(crate) fn lines(path: &Path, axes: &Axes, lines: &[Line]) -> Result<()> {
    let rates = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let Some((low, high)) = rates().min_by(f64::total_cmp).zip(rates().max_by(f64::total_cmp)) else {
        return Ok(());
    };
    let root = SVGBackend::new(path, (760, 420)).into_drawing_area();
    root.fill(&WHITE).map_err(plain)?;
    // The names of the rows stand to the right of the lines.
    let right = axes.places.len() + axes.places.len() / 4;
    let mut chart = ChartBuilder::on(&root)
        .caption(axes.title, (FONT, 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0..right, (low * 0.8..high * 1.25).log_scale())
        .map_err(plain)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style((FONT, 12))
        .x_desc(axes.across)
        .y_desc("a second")
        .x_labels(right + 1)
        .x_label_formatter(&|place| axes.places.get(*place).cloned().unwrap_or_default())
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(plain)?;
    for line in lines {
        let style = style(line.row);
        let points = line.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))
            .map_err(plain)?
            .label(line.row)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()
        .map_err(plain)?;
    root.present().map_err(plain)
}

/// Writes a chart of one bar for each row to `path`.
pub(crate) fn bars(path: &Path, title: &str, bars: &[(&'static str, f64)]) -> Result<()> {
    let Some(most) = bars.iter().map(|bar| bar.1).max_by(f64::total_cmp) else { return Ok(()) };
    let height = 44 + 24 * u32::try_from(bars.len())?;
    let root = SVGBackend::new(path, (760, height)).into_drawing_area();
    root.fill(&WHITE).map_err(plain)?;
    let text = |text: String, x, y, size: i32| root.draw(&Text::new(text, (x, y), (FONT, size)));
    text(title.to_owned(), 12, 12, 18).map_err(plain)?;
    for (number, (row, value)) in bars.iter().enumerate() {
        let top = 40 + 24 * i32::try_from(number)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most the chart's width")]
        let right = 150 + (520.0 * value / most) as i32;
        let style = style(row).filled();
        root.draw(&Rectangle::new([(150, top), (right, top + 16)], style)).map_err(plain)?;
        text((*row).to_owned(), 12, top + 1, 13).map_err(plain)?;
        text(short(*value), right + 6, top + 1, 13).map_err(plain)?;
    }
    root.present().map_err(plain)
}

const FONT: &str = "sans-serif";

/// Ours stand out; limits are grey; a row looks the same in every chart.
fn style(row: &str) -> ShapeStyle {
    const PEERS: [RGBColor; 8] = [
        RGBColor(31, 119, 180),
        RGBColor(23, 190, 207),
        RGBColor(148, 103, 189),
        RGBColor(44, 160, 44),
        RGBColor(140, 86, 75),
        RGBColor(188, 189, 34),
        RGBColor(255, 152, 60),
        RGBColor(227, 119, 194),
    ];
    const LIMITS: [RGBColor; 3] = [RGBColor(90, 90, 90), RGBColor(140, 140, 140), RGBColor(190, 190, 190)];
    let place = ROWS.iter().position(|it| it.name == row).unwrap_or(0);
    let (color, width) = match ROWS[place].kind {
        Kind::Ours if row == "codex" => (RGBColor(200, 30, 40), 3),
        Kind::Ours => (RGBColor(235, 120, 120), 3),
        Kind::Limit => (LIMITS[place % LIMITS.len()], 1),
        Kind::Peer | Kind::NotDurable => (PEERS[place % PEERS.len()], 2),
    };
    color.stroke_width(width)
}

/// Its errors borrow the drawing.
fn plain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing a chart: {error}")
}
