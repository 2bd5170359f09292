/**
 * Issuer of the tokens that `asset-service dev-token` signs for whoever asks. A service that believes it has to listen on the
 * loopback alone. Nothing answers at this address: the keys are in a file.
 */
export const DEVELOPMENT_ISSUER = 'http://localhost/asset-service/development';

/** Audience of these tokens where `ASSET_OIDC_AUDIENCE` says nothing else. */
export const DEVELOPMENT_AUDIENCE = 'asset-service';
