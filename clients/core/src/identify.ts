import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { Code, ConnectError, type Interceptor, type StreamResponse } from '@connectrpc/connect';
import { AssetClientError, TOKEN_RENEWED } from './errors.ts';
import type { TokenSource } from './tokens.ts';

/** Who calls, and for whom. */
interface Identity {
  readonly token?: TokenSource;
  readonly userToken?: TokenSource;
}

/**
 * Sends the tokens of a client with each call. Where the service refuses one, its source is asked for another; the error then says
 * whether there is one, and so whether to make the call again. Nothing of a call was done that was refused so.
 */
export function identify({ token: tokens, userToken: userTokens }: Identity): Interceptor {
  return (next) => async (request) => {
    const [given, givenUser] = await Promise.all([read(tokens), read(userTokens)]);
    // An empty text is what a variable of the environment gives that is not set, and a service that asks for a token says so.
    // One for a user is refused instead: without it the call would be made in the name of the service alone.
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

/** A stream that is refused fails only when its first message is asked for. */
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

/** What may stand in a header as one word; no token has anything else. */
const TOKEN = /^[\x21-\x7e]+$/;

function assertToken(token: string | undefined): string | undefined {
  if (token === undefined || TOKEN.test(token)) return token;
  // Whoever sets the header would say what is wrong with it by showing all of it.
  throw new AssetClientError(
    'UNAUTHENTICATED',
    'what was given as a token is none: it has to be one word of visible ASCII characters, without spaces or line breaks',
    { reason: 'TOKEN_UNAVAILABLE' },
  );
}
