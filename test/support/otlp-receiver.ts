import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as a collector of OpenTelemetry gets it. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first of a trace. */
  readonly parentSpanId: string;
  /** 2 for an error. */
  readonly status: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly durationNs: bigint;
}

/** A collector of OpenTelemetry that keeps the spans that it gets as JSON over HTTP. */
export interface OtlpReceiver {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  /** Paths of all requests. */
  readonly paths: ReadonlySet<string>;
  close(): void;
}

interface Value {
  readonly stringValue?: string;
  readonly intValue?: number | string;
}

interface Payload {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: Value }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Record<string, never>[] }[];
  }[];
}

/** Starts one on a free port. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const paths = new Set<string>();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      paths.add(request.url ?? '');
      if (request.url === '/v1/traces') spans.push(...spansIn(Buffer.concat(chunks).toString()));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, spans, paths, close };
}

function spansIn(body: string): ReceivedSpan[] {
  const { resourceSpans = [] } = JSON.parse(body) as Payload;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...{ service, name: String(span['name']), traceId: String(span['traceId']) },
        ...{ spanId: String(span['spanId']), parentSpanId: span['parentSpanId'] ?? '' },
        status: Number((span['status'] as { code?: number } | undefined)?.code ?? 0),
        attributes: attributesOf(span['attributes'] ?? []),
        durationNs: BigInt(span['endTimeUnixNano']!) - BigInt(span['startTimeUnixNano']!),
      })),
    );
  });
}

function attributesOf(list: readonly { readonly key: string; readonly value: Value }[]) {
  return Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));
}
