import { request } from 'node:http';

export interface Health {
  readonly healthy: boolean;
  /** For the log of `docker inspect`: one line. */
  readonly why: string;
}

/** Below Docker's own `--timeout`, so that the reason is told. */
const PATIENCE_MS = 2_000;

/**
 * Asks the service in this container how it is, without curl in the image. Only 2xx is well: a redirect to a login page
 * is none, nor is silence. On a connection of its own, so that it sees what a new client would.
 * @param timeoutMs for the whole answer. Default 2000
 * @returns never rejects
 */
export function healthcheck(url: string | URL, timeoutMs = PATIENCE_MS): Promise<Health> {
  const { promise, resolve } = Promise.withResolvers<Health>();
  const ill = (why: string) => resolve({ healthy: false, why });
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const asked = request(url, { agent: false, signal }, (response) => {
      const { statusCode: status = 0 } = response;
      const broken = (error: Error) => ill(signal.aborted ? `no whole answer in ${timeoutMs} ms` : error.message);
      response.on('error', broken).resume();
      response.on('end', () => resolve({ healthy: status >= 200 && status < 300, why: `HTTP ${status}` }));
    });
    asked.on('error', (error) => ill(signal.aborted ? `no whole answer in ${timeoutMs} ms` : error.message));
    asked.end();
  } catch (error) {
    ill(error instanceof Error ? error.message : String(error));
  }
  return promise;
}
