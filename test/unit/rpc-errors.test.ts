import { describe, expect, it } from '@jest/globals';
import { Code, ConnectError } from '@connectrpc/connect';
import { reasonOf } from '../../src/rpc/interceptors/error-details.ts';
import { toConnectError } from '../../src/rpc/interceptors/error-mapping.ts';

describe('errors of the RPC framework', () => {
  it.each([
    ['an answer that JSON cannot tell', 'cannot encode message a.B to JSON: no type', 'Internal', 'PROTOCOL'],
    ['an answer that gRPC cannot tell', 'serialize message: no type', 'Internal', 'PROTOCOL'],
    ['a message that cannot be read', 'parse message: no type', 'InvalidArgument', 'FIELD_INVALID'],
  ] as const)('%s', (_, message, code, reason) => {
    const error = toConnectError(new ConnectError(message, Code.Internal), {
      requestId: 'request',
      traceId: '',
    });
    expect([Code[error.code], reasonOf(error)]).toEqual([code, reason]);
  });
});
