import { resolve } from 'node:path';
import { isSameServer } from './legacy.ts';
import type { Settings } from './options/options.ts';
import { s3Config, type S3Config } from './s3.ts';
import type { Mistakes } from './settings.ts';

/** A blob store and its settings. */
export interface StoreConfig {
  readonly settings: Settings;
  readonly store:
    | { readonly kind: 'filesystem' }
    | {
        readonly kind: 's3';
        readonly s3: S3Config & {
          readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
        };
      };
}

/**
 * The store that a move goes to: what ASSET_NEXT_* says, under the names without NEXT_. Undefined if no store move is set
 * up. Reports settings that name the store of the service itself.
 */
export function nextStoreConfig(settings: Settings, mistakes: Mistakes): StoreConfig | undefined {
  const { ASSET_NEXT_STORE: kind } = settings;
  if (kind === undefined) return undefined;
  const next = nextStoreSettings(settings, kind);
  if (kind === 'filesystem') {
    const isOwn = settings.ASSET_STORE === 'filesystem';
    if (isOwn && resolve(settings.ASSET_DATA_DIR) === resolve(next.ASSET_DATA_DIR))
      mistakes.add('ASSET_NEXT_DATA_DIR', itself('ASSET_DATA_DIR'));
    return { settings: next, store: { kind } };
  }
  const s3 = { ...s3Config(next, mistakes.ofNext(next)), ...credentials(settings, mistakes) };
  const { ASSET_S3_BUCKET: bucket, ASSET_S3_ENDPOINT: endpoint } = settings;
  const isSame = isSameServer(s3, endpoint === undefined ? {} : { endpoint });
  if (settings.ASSET_STORE === 's3' && s3.bucket !== '' && s3.bucket === bucket && isSame)
    mistakes.add('ASSET_NEXT_S3_BUCKET', itself('ASSET_S3_BUCKET'));
  return { settings: next, store: { kind, s3 } };
}

function itself(name: string): string {
  return `names the store of the service itself (${name}): a move goes to another one`;
}

/** Without an address of its own the server is that of ASSET_S3_*. */
function nextStoreSettings(settings: Settings, kind: Settings['ASSET_STORE']): Settings {
  const { ASSET_NEXT_S3_ENDPOINT: own } = settings;
  const inherited = <T>(value: T): T | undefined => (own === undefined ? value : undefined);
  const region = settings.ASSET_NEXT_S3_REGION ?? settings.ASSET_S3_REGION;
  return {
    ...settings,
    ASSET_STORE: kind,
    ASSET_DATA_DIR: settings.ASSET_NEXT_DATA_DIR,
    ASSET_S3_ENDPOINT: own ?? settings.ASSET_S3_ENDPOINT,
    ASSET_S3_PUBLIC_ENDPOINT:
      settings.ASSET_NEXT_S3_PUBLIC_ENDPOINT ?? inherited(settings.ASSET_S3_PUBLIC_ENDPOINT),
    ASSET_S3_REGION: region,
    ASSET_S3_BUCKET: settings.ASSET_NEXT_S3_BUCKET,
    ASSET_S3_FORCE_PATH_STYLE:
      settings.ASSET_NEXT_S3_FORCE_PATH_STYLE ?? inherited(settings.ASSET_S3_FORCE_PATH_STYLE),
    ASSET_S3_DUAL_STACK: settings.ASSET_NEXT_S3_DUAL_STACK,
    ASSET_S3_ACCELERATE: settings.ASSET_NEXT_S3_ACCELERATE,
    ASSET_S3_SSE: settings.ASSET_NEXT_S3_SSE,
    ASSET_S3_SSE_KMS_KEY_ID: settings.ASSET_NEXT_S3_SSE_KMS_KEY_ID,
  };
}

function credentials(settings: Settings, mistakes: Mistakes) {
  const [idName, secretName] = ['ASSET_NEXT_S3_ACCESS_KEY_ID', 'ASSET_NEXT_S3_SECRET_ACCESS_KEY'] as const;
  if (settings[idName] === undefined && settings[secretName] === undefined) return {};
  const accessKeyId = mistakes.require(idName, secretName);
  return { credentials: { accessKeyId, secretAccessKey: mistakes.require(secretName, idName) } };
}
