/** Writes Prometheus' text format. */

export type FamilyType = 'gauge' | 'counter';

/** The lines of a page by metric, so that each metric stands in one block whatever order its values come in. */
export class Page {
  readonly #families = new Map<string, string[]>();
  readonly #series = new Set<string>();

  /** `labels`: text as it is; undefined ones are left out. A series that stands already is not written again: such a page is not valid. */
  add(
    name: string,
    described: { help: string; type: FamilyType },
    labels: Readonly<Record<string, string | undefined>>,
    value: number,
  ): void {
    let lines = this.#families.get(name);
    if (!lines) this.#families.set(name, (lines = [`# HELP ${name} ${described.help}`, `# TYPE ${name} ${described.type}`]));
    const parts = Object.entries(labels).filter((label): label is [string, string] => label[1] !== undefined);
    const series = `${name}{${parts.map(([label, text]) => `${label}="${escape(text)}"`).join(',')}}`;
    if (this.#series.has(series)) return;
    this.#series.add(series);
    lines.push(`${series} ${value}`);
  }

  get size(): number {
    return this.#series.size;
  }

  text(): string {
    return [...[...this.#families.values()].flat(), ''].join('\n');
  }
}

const escape = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
