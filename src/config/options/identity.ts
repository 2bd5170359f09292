import { z } from 'zod';
import { names, option, seconds, text, url, type Option } from './option.ts';

/** Settings for identity and TLS. */
export const IDENTITY_OPTIONS = {
  ASSET_AUTH: option(
    z.enum(['none', 'oidc', 'mtls']),
    'none',
    'How callers prove their identity: oidc by access tokens, mtls by client certificates. With none every caller may do everything, so the service listens on loopback only.',
  ),
  ASSET_OIDC_ISSUER: option(
    // Kept exactly: the claim `iss` is compared with it, and some issuers end with a slash.
    url(/^https?$/).optional(),
    '',
    "Issuer of the access tokens, exactly as in their claim iss. Required with ASSET_AUTH=oidc; with mtls it is the issuer of end users' tokens.",
  ),
  ASSET_OIDC_AUDIENCE: option(
    text().optional(),
    '',
    'What the claim aud of a token must contain, and the client whose roles in resource_access count. Required with ASSET_OIDC_ISSUER.',
  ),
  ASSET_OIDC_JWKS: option(
    text().optional(),
    '',
    'Keys of the issuer: a URL, or a JSON file, which is read again when it changes. By default the URL in the discovery document of the issuer.',
  ),
  ASSET_OIDC_JWKS_REFRESH: option(
    seconds(1, 86_400),
    '300',
    'Seconds between two fetches of the keys of the issuer: a withdrawn key works at most this long. New keys are fetched at once.',
  ),
  ASSET_OIDC_SUBJECT_CLAIM: option(
    text(),
    'sub',
    'Claim with the id of a caller or user, if the product knows its users by another id than the issuer.',
  ),
  ASSET_OIDC_PERSON_CLAIMS: option(
    names(),
    'sid,auth_time,preferred_username,upn,email,name,uid',
    "Claims, separated by commas, that mark the token of a person: a token that names its client (azp, client_id, cid, appid) and has none of them is that of a service. With sub every token counts as a person's unless it is marked otherwise.",
  ),
  ASSET_OIDC_CLOCK_SKEW: option(
    seconds(0, 300),
    '30',
    'Permitted difference from the clock of the issuer, in seconds.',
  ),
  ASSET_MTLS_PRINCIPALS: option(
    text().optional(),
    '',
    'Services by name of their client certificate, as JSON such as {"CN:worker":{"id":"worker","roles":["asset:read"]}}, or the path of such a file; URI: is a URI of the certificate. Required with ASSET_AUTH=mtls.',
  ),
  ASSET_TLS_CERT: option(
    text().optional(),
    '',
    'PEM file of the certificate chain. With ASSET_TLS_KEY the port speaks TLS, 1.2 or later, instead of cleartext. Read again when it changes.',
  ),
  ASSET_TLS_KEY: option(text().optional(), '', 'PEM file of the private key. Read again when it changes.'),
  ASSET_TLS_CLIENT_CA: option(
    text().optional(),
    '',
    'PEM file of the authorities that issue client certificates. Required with ASSET_AUTH=mtls. Read again when it changes.',
  ),
} as const satisfies Record<string, Option>;
