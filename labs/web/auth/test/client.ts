import * as oidc from 'openid-client';
import { CLIENT, type Provider } from './provider.ts';

/** What openid-client has to know of a desk: it is on this machine, so without TLS. */
export function discover({ issuer }: Provider): Promise<oidc.Configuration> {
  const metadata = { client_secret: CLIENT.secret, id_token_signed_response_alg: 'ES256' };
  const how = { execute: [oidc.allowInsecureRequests] };
  return oidc.discovery(new URL(issuer), CLIENT.id, metadata, oidc.ClientSecretBasic(CLIENT.secret), how);
}
