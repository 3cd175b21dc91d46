/** A real receiver of OTLP over HTTP, which keeps the spans it is sent. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  /** Of the span, with `service.…` of its process. */
  attributes: Record<string, string>;
  isFailed: boolean;
}

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string | number };
}
interface Body {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { spans: (Omit<ReceivedSpan, 'attributes' | 'isFailed'> & { attributes: Attribute[]; status?: { code?: number } })[] }[];
  }[];
}

/** `endpoint` is for OTEL_EXPORTER_OTLP_ENDPOINT. `status`: what it answers; spans are kept only with 200. */
export async function startOtlpReceiver(
  whenDone: (close: () => Promise<void>) => void,
): Promise<{ endpoint: string; spans: ReceivedSpan[]; status: number }> {
  const receiver = { endpoint: '', spans: [] as ReceivedSpan[], status: 200 };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (receiver.status === 200 && request.url === '/v1/traces') receiver.spans.push(...read(Buffer.concat(parts).toString()));
      response.writeHead(receiver.status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  receiver.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  whenDone(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return receiver;
}

function read(body: string): ReceivedSpan[] {
  const values = (attributes: Attribute[]): [string, string][] =>
    attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.intValue)]);
  return (JSON.parse(body) as Body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ attributes, status, ...span }) => ({
        ...span,
        attributes: Object.fromEntries([...values(resource.attributes), ...values(attributes)]),
        isFailed: status?.code === 2,
      })),
    ),
  );
}
