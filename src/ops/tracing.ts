/** Traces for OpenTelemetry; imported only where they are on. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Attributes, Context, SpanContext } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { SpanExporter, TracerProviderOptions } from '@opentelemetry/sdk-trace';
import type { TracingSettings } from '../lib/tracingSettings.ts';

type Resource = NonNullable<TracerProviderOptions['resource']>;

/** One step of what a trace follows. */
export interface Span {
  /** 32 hex digits, for the log. */
  readonly traceId: string;
  /** W3C's text form, to go on with elsewhere. */
  readonly traceparent: string;
  /** With what it failed on, where it did. */
  end(error?: unknown): void;
}

export interface Tracing {
  /** Whether this sample is one of those to follow. */
  isChosen(): boolean;
  /** `parent`: a traceparent from outside or from another replica; what is none begins a trace of its own. */
  start(name: string, parent: string | undefined, attributes: Attributes): Span;
  /** The span within which this code runs, see `within`. */
  current(): Span | undefined;
  /** Runs `work`, and everything that it begins, with this span as the current one. */
  within<T>(span: Span, work: () => T): T;
  /** Sends what waits, for at most 3 s. */
  close(): Promise<void>;
}

export interface TracingOptions {
  settings: TracingSettings;
  version: string;
  /** The id of this process. */
  replica: string;
  /** The collector did not take spans; told once until it takes some again. */
  failed(error: unknown): void;
}

/** Spans wait in a queue of 2,048 and are sent every two seconds; what goes over it is dropped. */
export function openTracing({ settings, version, replica, failed }: TracingOptions): Tracing {
  const exporter = tellingOnce(new OTLPTraceExporter({ url: settings.url, timeoutMillis: 5_000 }), failed);
  const provider = new TracerProvider({
    resource: describe({ 'service.name': settings.service, 'service.version': version, 'service.instance.id': replica }),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 2_000, exportTimeoutMillis: 5_000 })],
  });
  const tracer = provider.getTracer('hostroom', version);
  const running = new AsyncLocalStorage<Span>();
  return {
    isChosen: () => Math.random() < settings.sampleRatio,
    start(name, parent, attributes) {
      const span = tracer.startSpan(name, { attributes }, contextOf(parent));
      const { traceId, spanId } = span.spanContext();
      return {
        traceId,
        traceparent: `00-${traceId}-${spanId}-01`,
        end(error) {
          if (error !== undefined)
            span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : 'failed' });
          span.end();
        },
      };
    },
    current: () => running.getStore(),
    within: (span, work) => running.run(span, work),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, 3_000)));
      await Promise.race([provider.shutdown(), late]);
      clearTimeout(timer);
    },
  };
}

/** Who sends the spans. */
function describe(attributes: Attributes): Resource {
  const resource: Resource = {
    attributes,
    getRawAttributes: () => Object.entries(attributes),
    merge: (other) => (other ? describe({ ...attributes, ...other.attributes }) : resource),
  };
  return resource;
}

const shape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]$/;

/** https://www.w3.org/TR/trace-context/#traceparent-header; a caller that does not record is followed here all the same. */
function contextOf(traceparent: string | undefined): Context {
  const [, traceId, spanId] = shape.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT;
  const parent: SpanContext = { traceId, spanId, traceFlags: 1, isRemote: true };
  return trace.setSpanContext(ROOT_CONTEXT, parent);
}

/** A collector that is away must not fill the log. */
function tellingOnce(exporter: SpanExporter, failed: (error: unknown) => void): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error && !isFailing) failed(result.error);
        isFailing = result.error !== undefined;
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  };
}
