/** Reads whether and where traces are sent, by the variables that OpenTelemetry gives names to. */

export interface TracingSettings {
  /** Where spans are posted to, such as `http://collector:4318/v1/traces`. */
  url: string;
  /** The part of all samples that is followed; requests and changes of conversations always are. */
  sampleRatio: number;
  service: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined where OTEL_EXPORTER_OTLP_ENDPOINT is not set: no traces. Pushes what is wrong on `faults`. */
export function readTracing(env: Environment, faults: string[]): TracingSettings | undefined {
  const text = (name: string): string | undefined => env[name]?.trim() || undefined;
  const endpoint = text('OTEL_EXPORTER_OTLP_ENDPOINT');
  const ratio = text('OTEL_TRACES_SAMPLER_ARG') ?? '0.01';
  const service = text('OTEL_SERVICE_NAME') ?? 'hostroom';
  const sampleRatio = /^(0|1|0?\.\d+|[01]\.\d+)$/.test(ratio) ? Number(ratio) : Number.NaN;
  if (!(sampleRatio >= 0 && sampleRatio <= 1))
    faults.push(`OTEL_TRACES_SAMPLER_ARG: ${JSON.stringify(ratio)} is not a part from 0 to 1; unset it for 0.01`);
  if (endpoint === undefined) return undefined;
  const url = URL.parse(endpoint);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    faults.push(
      `OTEL_EXPORTER_OTLP_ENDPOINT: ${JSON.stringify(endpoint)} is not an address such as http://collector:4318; unset it for no traces`,
    );
    return undefined;
  }
  return { url: `${url.href.replace(/\/+$/, '')}/v1/traces`, sampleRatio, service };
}
