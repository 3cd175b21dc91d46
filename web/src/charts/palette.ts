/** The colours of the charts, read from the design tokens. */

export interface Palette {
  series: string[];
  bg: string;
  grid: string;
  hatch: string;
  veil: string;
  warnTint: string;
  off: string;
  line3: string;
  fill: number;
  fillLine: number;
}

/** Reads the tokens as they are now; to be called again when the colour scheme changes. */
export function readPalette(): Palette {
  const styles = getComputedStyle(document.documentElement);
  const token = (name: string): string => styles.getPropertyValue(name).trim();
  return {
    series: Array.from({ length: 8 }, (_, index) => token(`--s${index + 1}`)),
    bg: token('--bg'),
    grid: token('--grid'),
    hatch: token('--hatch'),
    veil: token('--veil'),
    warnTint: token('--warn-bg'),
    off: token('--off'),
    line3: token('--line3'),
    fill: Number(token('--fill')),
    fillLine: Number(token('--fill-line')),
  };
}

/** `#rrggbb` → its three parts. */
export function partsOf(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

export const withAlpha = (hex: string, alpha: number): string => `rgba(${partsOf(hex).join(',')},${alpha})`;

/** Lines at 45°, one device pixel wide, every 6. */
export function hatch(context: CanvasRenderingContext2D, x: number, width: number, height: number, colour: string, ratio: number): void {
  if (width <= 0) return;
  context.save();
  context.beginPath();
  context.rect(x, 0, width, height);
  context.clip();
  context.setLineDash([]);
  context.strokeStyle = colour;
  context.lineWidth = ratio;
  context.beginPath();
  const step = 6 * ratio;
  for (let start = Math.floor((x - height) / step) * step; start < x + width; start += step) {
    context.moveTo(start, height);
    context.lineTo(start + height, 0);
  }
  context.stroke();
  context.restore();
}
