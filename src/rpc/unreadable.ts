import { Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';

/** More of an answer is not looked at: it is an error, and its message stands at the beginning. */
const MAX_LENGTH = 16 * 1024;

/**
 * Why Connect could not read a request, taken from the answer that it made without asking any interceptor.
 *
 * @returns the answer, which can be sent, and the reason; no reason if it is not about the message, such as an unknown encoding
 */
export async function whyUnreadable(
  answer: UniversalServerResponse,
): Promise<{ readonly answer: UniversalServerResponse; readonly failure: ConnectError | undefined }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  const trailers = [...(answer.trailer ?? [])].map(([name, value]) => `${name}: ${value}`);
  const text = `${trailers.join('\r\n')}\r\n${Buffer.concat(chunks).toString('utf8').slice(0, MAX_LENGTH)}`;
  async function* again() {
    yield* chunks;
  }
  return { answer: { ...answer, body: again() }, failure: failureIn(text) };
}

function failureIn(text: string): ConnectError | undefined {
  const { code, message } = grpcError(text) ?? connectError(text) ?? {};
  if (message === undefined) return undefined;
  if (/readMaxBytes \d+/.test(message)) return new ConnectError(message, Code.ResourceExhausted);
  const isParsing = code === Code.Internal || code === Code.InvalidArgument;
  // A flag of compression without an encoding is an error of the protocol, whose code gRPC sets.
  return isParsing && !/compress/.test(message) ? new ConnectError(message, Code.InvalidArgument) : undefined;
}

/** The error in the trailers of gRPC, or of gRPC-Web, which writes them into the body. */
function grpcError(text: string): { code: Code; message: string } | undefined {
  const status = /grpc-status: ?(\d+)/i.exec(text)?.[1];
  if (status === undefined) return undefined;
  const message = /grpc-message: ?([^\r\n]*)/i.exec(text)?.[1] ?? '';
  try {
    return { code: Number(status), message: decodeURIComponent(message) };
  } catch {
    return { code: Number(status), message };
  }
}

/** The error in the body of Connect. */
function connectError(text: string): { code: Code | undefined; message: string } | undefined {
  const json = /\{.*\}/s.exec(text)?.[0];
  if (json === undefined) return undefined;
  try {
    const { code, message } = JSON.parse(json) as { readonly code?: unknown; readonly message?: unknown };
    const codes: Record<string, Code> = { internal: Code.Internal, invalid_argument: Code.InvalidArgument };
    return { code: codes[String(code)], message: typeof message === 'string' ? message : '' };
  } catch {
    return undefined;
  }
}
