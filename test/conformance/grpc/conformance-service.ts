import { create, type DescMessage, type Message, type Registry } from '@bufbuild/protobuf';
import { anyPack, type Any } from '@bufbuild/protobuf/wkt';
import { ConnectError, type ConnectRouter, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { setTimeout as sleep } from 'node:timers/promises';

/** `connectrpc.conformance.v1.Header` */
interface Header {
  readonly name: string;
  readonly value: readonly string[];
}

/** What the definitions of responses have of each other. */
interface Definition {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
  readonly responseDelayMs: number;
}

interface Failure {
  readonly code: number;
  readonly message?: string;
  readonly details: readonly Any[];
}

type UnaryRequest = Message & {
  readonly responseDefinition?: Definition & {
    readonly response: { case: 'responseData'; value: Uint8Array } | { case: 'error'; value: Failure };
  };
};

type StreamRequest = Message & {
  readonly responseDefinition?: Definition & {
    readonly responseData: readonly Uint8Array[];
    readonly error?: Failure;
  };
};

const PACKAGE = 'connectrpc.conformance.v1';

/** Serves `connectrpc.conformance.v1.ConformanceService`, whose descriptors are in `registry`. */
export function conformanceRoutes(registry: Registry): (router: ConnectRouter) => void {
  const service = registry.getService(`${PACKAGE}.ConformanceService`)!;
  const requestInfo = registry.getMessage(`${PACKAGE}.ConformancePayload.RequestInfo`)!;

  const infoOf = (context: HandlerContext, requests: readonly Message[]) => ({
    requestHeaders: headersOf(context.requestHeader),
    timeoutMs: context.timeoutMs() === undefined ? undefined : BigInt(Math.floor(context.timeoutMs()!)),
    requests: requests.map((request) => anyPack(registry.getMessage(request.$typeName)!, request)),
  });

  const answer = async (
    requests: readonly UnaryRequest[],
    context: HandlerContext,
  ): Promise<{ payload: unknown }> => {
    const definition = requests[0]?.responseDefinition;
    const info = infoOf(context, requests);
    announce(definition, context);
    if (definition) await sleep(definition.responseDelayMs);
    if (definition?.response.case === 'error') {
      throw errorOf(definition.response.value, requestInfo, info);
    }
    return { payload: { data: definition?.response.value, requestInfo: info } };
  };

  const implementation = {
    unary: (request: UnaryRequest, context: HandlerContext) => answer([request], context),
    idempotentUnary: (request: UnaryRequest, context: HandlerContext) => answer([request], context),

    async clientStream(requests: AsyncIterable<UnaryRequest>, context: HandlerContext) {
      const all: UnaryRequest[] = [];
      for await (const request of requests) all.push(request);
      return answer(all, context);
    },

    async *serverStream(request: StreamRequest, context: HandlerContext) {
      const definition = request.responseDefinition;
      const info = infoOf(context, [request]);
      announce(definition, context);
      let isFirst = true;
      for (const data of definition?.responseData ?? []) {
        await sleep(definition!.responseDelayMs);
        yield { payload: { data, ...(isFirst && { requestInfo: info }) } };
        isFirst = false;
      }
      if (!definition?.error) return;
      throw errorOf(definition.error, requestInfo, isFirst ? info : undefined);
    },
  };
  return (router) =>
    router.service(service, implementation as unknown as Partial<ServiceImpl<typeof service>>);
}

function announce(definition: Definition | undefined, context: HandlerContext): void {
  const append = (to: Headers, headers: readonly Header[] = []) => {
    for (const { name, value } of headers) for (const one of value) to.append(name, one);
  };
  append(context.responseHeader, definition?.responseHeaders);
  append(context.responseTrailer, definition?.responseTrailers);
}

function headersOf(headers: Headers): { name: string; value: string[] }[] {
  return [...headers].map(([name, value]) => ({ name, value: [value] }));
}

/** @param info - is told with the error, where no message could tell it */
function errorOf(
  { code, message, details }: Failure,
  requestInfo: DescMessage,
  info: Record<string, unknown> | undefined,
): ConnectError {
  const error = new ConnectError(message ?? '', code);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.split('/').pop()!, value }));
  if (info) error.details.push({ desc: requestInfo, value: create(requestInfo, info) });
  return error;
}
