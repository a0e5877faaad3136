// An OpenID provider in a process of its own: the hotel's desk. It ends with whoever started it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { JWK } from 'jose';
import type { JWKS } from 'oidc-provider';

export const AUDIENCE = 'https://doors.hotel.example';
export const CLIENT = { id: 'hotel', secret: 'a secret of the hotel and its desk' };

interface Setup {
  readonly redirectUri: string;
  /** The first one signs. */
  readonly keys: readonly JWK[];
  /** The desk's own page takes any name and password; its consent page asks once. */
  readonly scopes?: string;
}

export interface Provider extends AsyncDisposable {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly child: ChildProcess;
  /** Other keys from now on. */
  rotate(keys: readonly JWK[]): Promise<void>;
}

const isText = (it: unknown): it is string => typeof it === 'string';

export async function startProvider(setup: Setup): Promise<Provider> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(setup)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  const early = once(child, 'exit').then(() => {
    throw new Error(`the provider ended: ${said}`);
  });
  early.catch(() => {});
  const answer = async () => {
    const [message] = await Promise.race([once(child, 'message'), early]);
    return message;
  };
  const issuer = await answer();
  if (!isText(issuer)) throw new Error(`the provider said ${issuer}`);
  return {
    issuer,
    jwksUri: `${issuer}/jwks`,
    child,
    async rotate(keys) {
      child.send(keys);
      await answer();
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

async function serve({ redirectUri, keys, scopes = 'openid offline_access door:open' }: Setup): Promise<void> {
  process.on('disconnect', () => process.exit());
  const { Provider } = await import('oidc-provider');
  const server = createServer((request, response) => desk(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const issuer = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const open = (jwks: JWKS) =>
    new Provider(issuer, {
      jwks,
      clients: [
        {
          client_id: CLIENT.id,
          client_secret: CLIENT.secret,
          redirect_uris: [redirectUri],
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      cookies: { keys: ['the desk’s own'] },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      scopes: scopes.split(' '),
      features: {
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => AUDIENCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: 'door:open',
            audience: AUDIENCE,
            accessTokenFormat: 'jwt' as const,
            accessTokenTTL: 300,
            jwt: { sign: { alg: 'ES256' as const } },
          }),
        },
      },
    }).callback();
  let desk = open({ keys: keys.map((key) => ({ ...key, kty: `${key.kty}` })) });
  process.on('message', (others: JWKS['keys']) => {
    desk = open({ keys: others });
    process.send?.('rotated');
  });
  process.send?.(issuer);
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) await serve(JSON.parse(process.argv[2] ?? ''));
