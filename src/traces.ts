/** Opens traces where they are on, and loads nothing of them where they are off. */

import type { Closers } from './lib/closers.ts';
import type { TracingSettings } from './lib/tracingSettings.ts';
import type { Log } from './ops/log.ts';
import type { Tracing } from './ops/tracing.ts';

/** Pushes what it opens on `closers`. Never waits for the collector. */
export async function openTraces(
  settings: TracingSettings,
  parts: { log: Log; version: string; replica: string; closers: Closers },
): Promise<Tracing> {
  const { log, version, replica, closers } = parts;
  const { openTracing } = await import('./ops/tracing.ts');
  const tracing = openTracing({
    settings,
    version,
    replica,
    failed: (error) => log.warn({ err: error, collector: settings.url }, 'the collector of traces takes none; they are dropped'),
  });
  closers.add('traces', () => tracing.close());
  return tracing;
}
