/** Line plots as SVG: text stays text, and colours follow the reader's light or dark scheme. */
import type { Interval } from './statistics.ts';

export interface Series {
  readonly name: string;
  /** Of the axes' units, in the order in which they are joined. */
  readonly points: readonly { readonly x: number; readonly y: number; readonly bar?: Interval }[];
  /** Between lower and upper line, at the same x as the points. */
  readonly band?: readonly Interval[];
  /** A plain reference: thin and dashed. */
  readonly isReference?: boolean;
  /** Points are marked, and not joined. */
  readonly marksOnly?: boolean;
}

export interface Axis {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export interface Plot {
  readonly title: string;
  /** For those who do not see it: what it shows, in a sentence. */
  readonly description: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

const width = 820;
const height = 460;
/** Room for labels at the sides and for the legend on the right. */
const frame = { left: 72, right: 600, top: 48, bottom: 396 };

/** Colours that are told apart by people who do not see red or green (Okabe & Ito 2008), by scheme. */
const colours = {
  light: ['#0072b2', '#b34700', '#00795a', '#a03c78', '#6b4fb3'],
  dark: ['#56b4e9', '#f0a04b', '#3fc79a', '#e08cc0', '#b3a0f0'],
} as const;

/** Axes are in percent. */
export function drawPlot(plot: Plot): string {
  const xAt = (x: number): string =>
    (
      frame.left +
      ((x - plot.x.from) / (plot.x.to - plot.x.from)) * (frame.right - frame.left)
    ).toFixed(1);
  const yAt = (y: number): string =>
    (
      frame.bottom -
      ((y - plot.y.from) / (plot.y.to - plot.y.from)) * (frame.bottom - frame.top)
    ).toFixed(1);
  const series = plot.series.map((one, index) => drawSeries(one, index, xAt, yAt));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escape(plot.title)}</title>`,
    `<desc id="description">${escape(plot.description)}</desc>`,
    `<style>${style()}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="title" x="${frame.left}" y="26">${escape(plot.title)}</text>`,
    ...ticksOf(plot.x).map(
      (tick) =>
        `<line class="grid" x1="${xAt(tick)}" x2="${xAt(tick)}" y1="${frame.top}" y2="${frame.bottom}"/>` +
        `<text x="${xAt(tick)}" y="${frame.bottom + 20}" text-anchor="middle">${percent(tick)}</text>`,
    ),
    ...ticksOf(plot.y).map(
      (tick) =>
        `<line class="grid" x1="${frame.left}" x2="${frame.right}" y1="${yAt(tick)}" y2="${yAt(tick)}"/>` +
        `<text x="${frame.left - 8}" y="${yAt(tick)}" dy="0.32em" text-anchor="end">${percent(tick)}</text>`,
    ),
    `<text x="${(frame.left + frame.right) / 2}" y="${frame.bottom + 46}" text-anchor="middle">${escape(plot.x.label)}</text>`,
    `<text transform="translate(18 ${(frame.top + frame.bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(plot.y.label)}</text>`,
    `<clipPath id="frame"><rect x="${frame.left}" y="${frame.top}" width="${frame.right - frame.left}" height="${frame.bottom - frame.top}"/></clipPath>`,
    `<g clip-path="url(#frame)">`,
    ...series.map(({ behind }) => behind),
    ...series.map(({ before }) => before),
    `</g>`,
    ...series.map(({ legend }) => legend),
    `</svg>\n`,
  ].join('\n');
}

function drawSeries(
  series: Series,
  index: number,
  xAt: (x: number) => string,
  yAt: (y: number) => string,
): { behind: string; before: string; legend: string } {
  const { points, band, name, isReference = false, marksOnly = false } = series;
  const kind = isReference ? `reference r${index % 2}` : `series s${index % colours.light.length}`;
  const at = (x: number, y: number): string => `${xAt(x)},${yAt(y)}`;
  const upper = points.map(({ x }, place) => at(x, band?.[place]?.high ?? 0));
  const lower = points.map(({ x }, place) => at(x, band?.[place]?.low ?? 0)).toReversed();
  const line = `<polyline class="${kind}" points="${points.map(({ x, y }) => at(x, y)).join(' ')}"/>`;
  const marks = points.map(
    ({ x, y, bar }) =>
      (bar === undefined
        ? ''
        : `<line class="${kind}" x1="${xAt(x)}" x2="${xAt(x)}" y1="${yAt(bar.low)}" y2="${yAt(bar.high)}"/>`) +
      `<circle class="${kind} mark" cx="${xAt(x)}" cy="${yAt(y)}" r="4"/>`,
  );
  const row = frame.top + 14 + index * 24;
  const left = frame.right + 20;
  const sample = marksOnly
    ? `<circle class="${kind} mark" cx="${left + 12}" cy="${row}" r="4"/>`
    : `<line class="${kind}" x1="${left}" x2="${left + 24}" y1="${row}" y2="${row}"/>`;
  return {
    behind:
      band === undefined
        ? ''
        : `<polygon class="${kind} band" points="${[...upper, ...lower].join(' ')}"/>`,
    before: marksOnly ? marks.join('') : line,
    legend: `${sample}<text x="${left + 32}" y="${row}" dy="0.32em">${escape(name)}</text>`,
  };
}

function ticksOf({ from, to, step }: Axis): number[] {
  const count = Math.round((to - from) / step);
  return Array.from({ length: count + 1 }, (_, tick) => from + tick * step);
}

const seriesColours = (which: readonly string[]): string =>
  which.map((colour, index) => `.s${index}{stroke:${colour};fill:${colour}}`).join('');

function style(): string {
  return [
    'text{font:14px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}',
    '.paper{fill:#fff}.grid{stroke:#d8dee4;stroke-width:1}',
    '.reference{fill:none;stroke:#57606a;stroke-width:1.5;stroke-dasharray:6 4}.r1{stroke-dasharray:1.5 4;stroke-linecap:round}',
    `${seriesColours(colours.light)}.series{stroke-width:2.5}polyline{fill:none!important}`,
    '.band{fill-opacity:.13;stroke:none}.mark{stroke:none}',
    '@media (prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}',
    `.reference{stroke:#9198a1}${seriesColours(colours.dark)}.band{stroke:none}.mark{stroke:none}}`,
  ].join('');
}

const percent = (value: number): string => `${Math.round(100 * value)} %`;

const escape = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
