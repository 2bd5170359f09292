import type { FastifyInstance } from 'fastify';
import type { Config } from '../config.ts';
import { findSession } from '../session.ts';
import type { SignIn } from '../sign-in/sign-in.ts';

/** Who is signed in, with what the page needs to begin; the end of a sign-in. */
export function addSessionRoutes(app: FastifyInstance, config: Config, signIn: SignIn): void {
  const { product, sharing } = config;
  const settings = { ...product, sharing, development: config.signIn.kind === 'development' };

  app.get('/api/session', (request, reply) => {
    const session = findSession(request);
    reply.header('cache-control', 'no-store');
    if (session === undefined) return { user: null, settings };
    const { userId, userName, csrf } = session;
    return { user: { id: userId, name: userName }, csrf, settings };
  });

  app.post('/sign-out', async (request) => {
    const session = findSession(request);
    request.session.delete();
    return { goTo: session === undefined ? '/' : await signIn.signOut(session) };
  });
}
