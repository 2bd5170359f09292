import Fastify, { type FastifyInstance } from 'fastify';
import { randomUUID } from 'node:crypto';
import { openAssets } from './assets.ts';
import type { Config } from './config.ts';
import { answerErrors, sendError } from './errors.ts';
import { addContentRoutes } from './routes/content.ts';
import { addFileRoutes } from './routes/files.ts';
import { addFormRoute } from './routes/form.ts';
import { addLegacyRoute } from './routes/legacy.ts';
import { addPages } from './routes/pages.ts';
import { addSessionRoutes } from './routes/session.ts';
import { addShareRoutes } from './routes/shares.ts';
import { addTusRoutes } from './routes/tus.ts';
import { secure } from './security.ts';
import { keepSessions } from './session.ts';
import { developmentSignIn } from './sign-in/development.ts';
import { oidcSignIn } from './sign-in/oidc.ts';

/** Builds the BFF; `listen` starts it. */
export async function createApp(config: Config): Promise<FastifyInstance> {
  const { signIn: chosen } = config;
  const signIn =
    chosen.kind === 'oidc' ? oidcSignIn(chosen, config) : await developmentSignIn(chosen.keyFile);
  const keys = config.sessionKeys ?? [signIn.fallbackKey!];
  const app = Fastify({
    // Behind a proxy the log names the browser's address.
    trustProxy: 'loopback',
    genReqId: () => randomUUID(),
    logger: { level: process.env['BFF_LOG_LEVEL'] ?? 'info', redact: ['req.headers.cookie'] },
    // An upload may take hours; a connection that sends nothing is ended by the service's stall timeout.
    requestTimeout: 0,
    // Links for everybody are tokens of a few hundred characters.
    routerOptions: { maxParamLength: 1024 },
    // A misspelt parameter is refused instead of ignored.
    ajv: { customOptions: { removeAdditional: false } },
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });
  answerErrors(app);
  await keepSessions(app, config, keys);
  await secure(app, config);
  await addPages(app, config);

  const assets = openAssets(app, config, signIn);
  signIn.addRoutes(app);
  addSessionRoutes(app, config, signIn);
  addFileRoutes(app, assets, config);
  addContentRoutes(app, assets);
  addTusRoutes(app, assets, config);
  addFormRoute(app, assets, config);
  addShareRoutes(app, assets, config, keys);
  addLegacyRoute(app, assets);
  return app;
}
