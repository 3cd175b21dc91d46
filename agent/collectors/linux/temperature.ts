/** Reads the temperature and fan sensors that the kernel shows under /sys. */

import { readdir, readFile } from 'node:fs/promises';
import { BackgroundCollector, type Findings } from '../background.ts';

const everyMs = 10_000;
const maxSensors = 64;

const text = async (path: string): Promise<string> => (await readFile(path, 'latin1')).trim();

/** Empty where the folder is missing, as in most virtual machines. */
async function entries(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** A sensor that cannot be read now (disk asleep, bus busy) is left out of this round. */
const attempt = <T>(reading: Promise<T>): Promise<T | undefined> => reading.catch(() => undefined);

/** Broken sensors show values such as -128 or 65,000. */
const plausible = (celsius: number): boolean => celsius > -60 && celsius < 200;

async function hardwareMonitor(folder: string, findings: Findings): Promise<void> {
  const chip = (await attempt(text(`${folder}/name`))) ?? 'sensor';
  for (const file of await entries(folder)) {
    const [, sort, number] = /^(temp|fan)(\d+)_input$/.exec(file) ?? [];
    if (sort === undefined) continue;
    const value = Number(await attempt(text(`${folder}/${file}`)));
    if (!Number.isFinite(value)) continue;
    const label = `${chip} ${(await attempt(text(`${folder}/${sort}${number}_label`))) ?? number}`;
    if (sort === 'fan') findings.push(['fan.*', label, value]);
    else if (plausible(value / 1000)) findings.push(['temperature.*', label, value / 1000]);
  }
}

async function thermalZone(folder: string, findings: Findings): Promise<void> {
  const value = Number(await attempt(text(`${folder}/temp`)));
  const label = await attempt(text(`${folder}/type`));
  if (label !== undefined && Number.isFinite(value) && plausible(value / 1000)) findings.push(['temperature.*', label, value / 1000]);
}

/** Two chips of one sort (two NVMe disks) get the same label: later ones are numbered. */
function numbered(findings: Findings): Findings {
  const seen = new Map<string, number>();
  return findings.slice(0, maxSensors).map(([name, label, value]) => {
    const times = (seen.get(name + label) ?? 0) + 1;
    seen.set(name + label, times);
    return [name, times === 1 ? label : `${label} #${times}`, value];
  });
}

/** Reads in the background: a sensor on a slow bus may take many milliseconds. */
export const temperatureCollector = (sys = '/sys'): BackgroundCollector =>
  new BackgroundCollector('temperature', everyMs, async () => {
    const findings: Findings = [];
    const monitors = `${sys}/class/hwmon`;
    for (const chip of await entries(monitors)) await hardwareMonitor(`${monitors}/${chip}`, findings);
    // Small boards have thermal zones only; where both exist they show the same sensors.
    if (!findings.some(([name]) => name === 'temperature.*')) {
      const zones = `${sys}/class/thermal`;
      for (const zone of await entries(zones)) if (zone.startsWith('thermal_zone')) await thermalZone(`${zones}/${zone}`, findings);
    }
    return numbered(findings);
  });
