import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What people may upload under one usage. The page says it before an upload; the service's usage policy decides. */
export interface Usage {
  readonly name: string;
  /** `image/png` or `image/*`; any type if empty. */
  readonly contentTypes: readonly string[];
  readonly maxSizeBytes: number;
}

/** What the product stores: the usages that people may choose, and the attributes that they may edit. */
export interface Product {
  readonly usages: readonly Usage[];
  readonly attributes: readonly string[];
  /** Variants of images that the page shows instead of the file, by their names in the usage policies of the service. */
  readonly previews: { readonly small?: string; readonly large?: string };
}

/** How people sign in. */
export type SignInConfig =
  | { readonly kind: 'development'; readonly keyFile: string }
  | {
      readonly kind: 'oidc';
      readonly issuer: string;
      readonly clientId: string;
      readonly clientSecret: string;
      /** Audience of the Asset Service in the tokens of the issuer. */
      readonly audience: string;
      readonly scope: string;
    };

/** The settings of the BFF; `docs/bff.md` describes them. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** The origin that browsers see, such as `https://files.example.com`. */
  readonly publicOrigin: string;
  readonly assetServiceUrl: string;
  /** Origins of the signed URLs: the only other ones that the page may show images from. */
  readonly fileOrigins: readonly string[];
  readonly allowTokensOverHttp: boolean;
  /** 32 bytes each. The first encrypts cookies and signs links; the others are accepted as well. */
  readonly sessionKeys: readonly Buffer[] | undefined;
  readonly sessionSeconds: number;
  readonly signIn: SignInConfig;
  /** True if the BFF's own account has the role `asset:read`, which links for everybody need. */
  readonly sharing: boolean;
  readonly product: Product;
  /** Where the built page is. */
  readonly pageDir: string;
}

/**
 * Reads the settings from the environment.
 *
 * @throws Error that names every setting that is missing or not valid
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const faults: string[] = [];
  const need = (name: string) => {
    if (!env[name]) faults.push(`${name} is required`);
    return env[name] ?? '';
  };
  const origin = (name: string, text: string) => {
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      faults.push(`${name} must be an http or https URL, not "${text}"`);
      return text;
    }
    return new URL(text).origin;
  };
  const whole = (name: string, fallback: number) => {
    const value = Number(env[name] || fallback);
    if (!Number.isInteger(value) || value < 0) faults.push(`${name} must be a whole number`);
    return value;
  };

  const host = env['BFF_HOST'] || '127.0.0.1';
  const port = whole('BFF_PORT', 3000);
  const assetServiceUrl = env['ASSET_SERVICE_URL'] || 'http://127.0.0.1:8080';
  const fileOrigins = (env['BFF_FILE_ORIGINS'] || assetServiceUrl).split(/[\s,]+/).filter(Boolean);
  const kind = env['BFF_SIGN_IN'] || 'development';
  if (kind !== 'development' && kind !== 'oidc') faults.push('BFF_SIGN_IN must be development or oidc');
  const sessionKeys = env['BFF_SESSION_KEYS']?.split(/[\s,]+/).filter(Boolean);
  if (sessionKeys?.some((key) => !/^[0-9a-f]{64}$/i.test(key)))
    faults.push('BFF_SESSION_KEYS must be keys of 64 hexadecimal digits, separated by commas');
  if (kind === 'oidc' && !sessionKeys?.length)
    faults.push('BFF_SESSION_KEYS is required: make one with `openssl rand -hex 32`');
  if (kind === 'development' && host !== '127.0.0.1' && host !== '::1')
    faults.push('BFF_HOST must be the loopback with BFF_SIGN_IN=development: everybody can sign in');

  const config: Config = {
    host,
    port,
    publicOrigin: origin('BFF_PUBLIC_URL', env['BFF_PUBLIC_URL'] || `http://127.0.0.1:${port}`),
    assetServiceUrl,
    fileOrigins: fileOrigins.map((one) => origin('BFF_FILE_ORIGINS', one)),
    allowTokensOverHttp: env['BFF_ALLOW_TOKENS_OVER_HTTP'] === 'true',
    sessionKeys: sessionKeys?.map((key) => Buffer.from(key, 'hex')),
    sessionSeconds: whole('BFF_SESSION_SECONDS', 12 * 3600),
    signIn:
      kind === 'oidc'
        ? {
            kind,
            issuer: origin('BFF_OIDC_ISSUER', need('BFF_OIDC_ISSUER')) && need('BFF_OIDC_ISSUER'),
            clientId: need('BFF_OIDC_CLIENT_ID'),
            clientSecret: need('BFF_OIDC_CLIENT_SECRET'),
            audience: env['BFF_OIDC_AUDIENCE'] || 'asset-service',
            scope: env['BFF_OIDC_SCOPE'] || 'openid profile',
          }
        : { kind: 'development', keyFile: env['BFF_DEV_KEYS'] || join('data', 'dev-keys.json') },
    sharing: (env['BFF_SHARING'] || (kind === 'oidc' ? 'off' : 'on')) === 'on',
    product: readProduct(env['BFF_PRODUCT_FILE'] || join(import.meta.dirname, '..', 'product.json'), faults),
    pageDir: env['BFF_PAGE_DIR'] || join(import.meta.dirname, '..', 'dist'),
  };
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return config;
}

function readProduct(path: string, faults: string[]): Product {
  try {
    const { usages, attributes, previews = {} } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Product>;
    const isUsage = (one: Partial<Usage>) =>
      typeof one.name === 'string' && Array.isArray(one.contentTypes) && Number(one.maxSizeBytes) > 0;
    if (!Array.isArray(usages) || usages.length === 0 || !usages.every(isUsage) || !Array.isArray(attributes))
      throw new Error('it needs "usages" with name, contentTypes and maxSizeBytes, and "attributes"');
    return { usages, attributes, previews };
  } catch (error) {
    faults.push(`BFF_PRODUCT_FILE: ${path}: ${(error as Error).message}`);
    return { usages: [], attributes: [], previews: {} };
  }
}
