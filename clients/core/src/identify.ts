import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { Code, ConnectError, type Interceptor, type StreamResponse } from '@connectrpc/connect';
import { AssetClientError, TOKEN_RENEWED } from './errors.ts';
import type { TokenSource } from './tokens.ts';

/** The calling service and its end user. */
interface Identity {
  readonly token?: TokenSource;
  readonly userToken?: TokenSource;
}

/**
 * Sends the tokens of a client with each call. If the service refuses a token, asks its source for another; the
 * error says whether there is one, so that the call can be repeated. A refused call had no effect.
 */
export function identify({ token: tokens, userToken: userTokens }: Identity): Interceptor {
  return (next) => async (request) => {
    const [given, givenUser] = await Promise.all([read(tokens), read(userTokens)]);
    // An unset environment variable gives an empty string, and a service that needs a token says so. An empty user
    // token is refused: without it the call would have the service's own permissions.
    const token = assertToken(given === '' ? undefined : given);
    const userToken = assertToken(givenUser);
    if (token !== undefined) request.header.set('authorization', `Bearer ${token}`);
    if (userToken !== undefined) request.header.set('asset-user-token', userToken);
    const noteRefusal = async (error: unknown) => {
      if (!(error instanceof ConnectError) || error.code !== Code.Unauthenticated) return;
      const { credential } = error.findDetails(ErrorInfoSchema)[0]?.metadata ?? {};
      const [source, used] = credential === 'asset-user-token' ? [userTokens, userToken] : [tokens, token];
      if (typeof source !== 'function' || used === undefined) return;
      const another = await Promise.resolve(source(used)).catch(() => used);
      if (another !== used) error.metadata.set(TOKEN_RENEWED, 'true');
    };
    try {
      const response = await next(request);
      return response.stream ? watched(response, noteRefusal) : response;
    } catch (error) {
      await noteRefusal(error);
      throw error;
    }
  };
}

/** A refused stream fails only when its first message is read. */
function watched(response: StreamResponse, onError: (error: unknown) => Promise<void>): StreamResponse {
  async function* messages() {
    try {
      yield* response.message;
    } catch (error) {
      await onError(error);
      throw error;
    }
  }
  return { ...response, message: messages() };
}

async function read(source: TokenSource | undefined): Promise<string | undefined> {
  return typeof source === 'function' ? source() : source;
}

/** Characters permitted in a header value that is one word; tokens have no others. */
const TOKEN = /^[\x21-\x7e]+$/;

function assertToken(token: string | undefined): string | undefined {
  if (token === undefined || TOKEN.test(token)) return token;
  // The HTTP library's error would show the token.
  throw new AssetClientError(
    'UNAUTHENTICATED',
    'what was given as a token is none: it has to be one word of visible ASCII characters, without spaces or line breaks',
    { reason: 'TOKEN_UNAVAILABLE' },
  );
}
