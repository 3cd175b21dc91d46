/** Writes Prometheus' text format. */

export interface Family {
  name: string;
  help: string;
  type: 'gauge' | 'counter';
}

/** The lines of a page by metric, so that each metric stands in one block whatever order its values come in. */
export class Page {
  readonly #families = new Map<string, { family: Family; lines: string[] }>();
  #size = 0;

  /** `series`: as `seriesText` gives it; each only once, for such a page is not valid. */
  add(family: Family, series: string, value: number): void {
    let block = this.#families.get(family.name);
    if (!block) this.#families.set(family.name, (block = { family, lines: [] }));
    block.lines.push(`${series} ${value}`);
    this.#size++;
  }

  /** How many series there are. */
  get size(): number {
    return this.#size;
  }

  /** One block of text per metric. */
  *blocks(): Generator<string> {
    for (const { family, lines } of this.#families.values())
      yield `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n${lines.join('\n')}\n`;
  }
}

/** `name{label="text",…}`; labels without a text are left out. */
export function seriesText(name: string, labels: Readonly<Record<string, string | undefined>>): string {
  const parts = Object.entries(labels).filter((label): label is [string, string] => label[1] !== undefined);
  return parts.length === 0 ? name : `${name}{${parts.map(([label, text]) => `${label}="${escape(text)}"`).join(',')}}`;
}

const escape = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
