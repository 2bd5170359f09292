import { z } from 'zod';
import { names, option, seconds, text, url, type Option } from './types.ts';

/** The settings of who calls, and of TLS. */
export const IDENTITY_OPTIONS = {
  ASSET_AUTH: option(
    z.enum(['none', 'oidc', 'mtls']),
    'none',
    'How callers prove who they are: oidc by access tokens, mtls by client certificates. With none every caller may do everything, so the service listens on loopback alone.',
  ),
  ASSET_OIDC_ISSUER: option(
    // To the letter: the claim `iss` is compared with it, and some issuers end with a slash.
    url(/^https?$/).optional(),
    '',
    'Issuer of the access tokens, exactly as their claim iss names it. Required with ASSET_AUTH=oidc; with mtls it makes the tokens of end users known.',
  ),
  ASSET_OIDC_AUDIENCE: option(
    text().optional(),
    '',
    'What the claim aud of a token must contain, and the client whose roles in resource_access count. Required with ASSET_OIDC_ISSUER.',
  ),
  ASSET_OIDC_JWKS: option(
    text().optional(),
    '',
    'Keys of the issuer: a URL, or a JSON file, which is read again when it changes. By default where the discovery document of the issuer says.',
  ),
  ASSET_OIDC_JWKS_REFRESH: option(
    seconds(1, 86_400),
    '300',
    'Seconds after which the keys of the issuer are fetched again, and so the time after which a withdrawn key ends. New keys are fetched at once.',
  ),
  ASSET_OIDC_SUBJECT_CLAIM: option(
    text(),
    'sub',
    'Claim that holds the id of a caller or user, where the product knows its users by another one than that of the issuer.',
  ),
  ASSET_OIDC_PERSON_CLAIMS: option(
    names(),
    'sid,auth_time,preferred_username,upn,email,name,uid',
    'Claims, separated by commas, that mark the token of a person: a token that names its client (azp, client_id, cid, appid) and has none of them is that of a service. With sub every token is that of a person that does not say otherwise.',
  ),
  ASSET_OIDC_CLOCK_SKEW: option(
    seconds(0, 300),
    '30',
    'Seconds by which the clock of the issuer may be off when the times of a token are checked.',
  ),
  ASSET_MTLS_PRINCIPALS: option(
    text().optional(),
    '',
    'Who is known by which client certificate, as JSON such as {"CN:worker":{"id":"worker","roles":["asset:read"]}}, or the path of a file with it; URI: stands for a URI of the certificate. Required with ASSET_AUTH=mtls.',
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
