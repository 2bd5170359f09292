import helmet from '@fastify/helmet';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import type { Config } from './config.ts';
import { notFromHere } from './refusals.ts';

/** Header in which the page repeats the token from `GET /api/session`. */
export const CSRF_HEADER = 'x-csrf-token';

/** Adds security headers to every response and refuses forged requests. */
export async function secure(app: FastifyInstance, config: Config): Promise<void> {
  const { fileOrigins, publicOrigin } = config;
  const isHttps = publicOrigin.startsWith('https:');
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        // A redirect to a signed URL is checked by its target too. Previews before an upload are blobs.
        imgSrc: ["'self'", 'blob:', 'data:', ...fileOrigins],
        mediaSrc: ["'self'", ...fileOrigins],
        manifestSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
        ...(isHttps && { upgradeInsecureRequests: [] }),
      },
    },
    strictTransportSecurity: isHttps ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    referrerPolicy: { policy: 'no-referrer' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
  });
  app.addHook('onRequest', async (request) => {
    if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method)) assertNotForged(request, publicOrigin);
  });
}

/**
 * Accepts an unsafe request only from a page of this origin: by what the browser says about where it comes from, and by a
 * token that only such a page can read. A signed-in session needs the token; before, where the request comes from is enough.
 */
function assertNotForged(request: FastifyRequest, publicOrigin: string): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin') throw notFromHere(`Sec-Fetch-Site is ${String(site)}`);
  if (origin !== undefined && origin !== publicOrigin) throw notFromHere('Origin is another one');
  const expected = request.session.get('csrf');
  if (expected === undefined) return;
  const given = request.headers[CSRF_HEADER];
  if (typeof given !== 'string' || !isSame(given, expected))
    throw notFromHere(`${CSRF_HEADER} is missing or wrong`);
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
