import { createBffClient, type AssetFile, type BffClient } from '@asset-service/bff';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Config } from './config.ts';
import { sessionOf } from './session.ts';
import type { SignIn } from './sign-in/sign-in.ts';

/** The clients of the Asset Service: one connection for the process. */
export interface Assets {
  /** Calls as the BFF itself; only links for everybody need it. */
  readonly own: BffClient;
  /** Calls for the person who sent the request: what they may do decides. */
  of(request: FastifyRequest): BffClient;
}

/** Connects to the service; closes with the app. */
export function openAssets(app: FastifyInstance, config: Config, signIn: SignIn): Assets {
  const own = createBffClient({
    baseUrl: config.assetServiceUrl,
    token: signIn.serviceToken,
    allowTokensOverHttp: config.allowTokensOverHttp,
    // A person waits: an outage is told within seconds.
    retry: { retries: 2 },
    timeouts: { callMs: 10_000 },
  });
  app.addHook('onClose', () => own.close());
  // A refresh may have brought a new refresh token: the cookie keeps it for the next process.
  app.addHook('onSend', async (request) => {
    const id = request.session.get('id');
    if (id === undefined || request.session.deleted) return;
    const session = sessionOf(request);
    const renewed = signIn.renewedRefreshToken(session);
    if (renewed !== undefined && renewed !== session.refreshToken) {
      request.session.set('refreshToken', renewed);
      request.session.touch();
    }
  });
  return { own, of: (request) => own.forUser(signIn.userToken(sessionOf(request))) };
}

/** A file as the page gets it. */
export function shownFile(file: AssetFile) {
  const { id, name, contentType, sizeBytes, sha256, owner, usage, attributes, relations, etag } = file;
  return {
    ...{ id, name, contentType, sizeBytes, sha256, owner, usage, attributes, relations, etag },
    createTime: file.createTime?.toISOString(),
    updateTime: file.updateTime?.toISOString(),
    deleteTime: file.deleteTime?.toISOString(),
    purgeTime: file.purgeTime?.toISOString(),
    // Only of one file, not in lists.
    thumbhash: file.thumbhash && Buffer.from(file.thumbhash).toString('base64'),
    variants: file.variants,
  };
}

/** {@link shownFile}, as JSON. */
export type ShownFile = ReturnType<typeof shownFile>;
