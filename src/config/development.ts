/**
 * Issuer of the tokens that `asset-service dev-token` signs for everybody. A service that trusts it must listen on
 * loopback only. Nothing answers at this address: the keys are in a file.
 */
export const DEVELOPMENT_ISSUER = 'http://localhost/asset-service/development';

/** Audience of these tokens, unless `ASSET_OIDC_AUDIENCE` is set. */
export const DEVELOPMENT_AUDIENCE = 'asset-service';
