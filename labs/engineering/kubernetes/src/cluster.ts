import {
  ApiException,
  createConfiguration,
  HttpMethod,
  type KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  ServerConfiguration,
} from '@kubernetes/client-node';
import { refuseNoTime } from './clock.ts';
import { InvalidArgumentError, RequestTimeoutError } from './errors.ts';

/** Which objects: all of a kind, in one namespace or in all of them. */
export interface Source {
  readonly apiVersion: string;
  readonly kind: string;
  /** Default: all. */
  readonly namespace?: string;
}

/** An object's name and address. */
export interface Named {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** The API server, with a limit to every request: a client of @kubernetes/client-node waits for ever by default. */
export class Cluster extends KubernetesObjectApi {
  readonly config: KubeConfig;

  /**
   * @param timeoutMs milliseconds that a request may take, default 10,000; it then fails with a RequestTimeoutError
   * @throws InvalidArgumentError without a current context, or for a time that is none
   */
  constructor(config: KubeConfig, timeoutMs = 10_000) {
    refuseNoTime({ timeoutMs });
    const server = config.getCurrentCluster()?.server;
    if (server === undefined) throw new InvalidArgumentError('the kubeconfig has no current context: set one');
    const limited = {
      pre: async (request: Parameters<Middleware['pre']>[0]) => {
        // An AbortSignal.timeout has a reason whose message can't be set, which the client tries to do.
        const limit = new AbortController();
        setTimeout(() => limit.abort(new RequestTimeoutError(request.getUrl(), timeoutMs)), timeoutMs).unref();
        request.setSignal(limit.signal);
        return request;
      },
      post: async (response: Parameters<Middleware['post']>[0]) => response,
    };
    super(
      createConfiguration({
        baseServer: new ServerConfiguration(server, {}),
        authMethods: { default: config },
        promiseMiddleware: [limited],
      }),
    );
    this.config = config;
  }

  /** The path of a kind's list, for a watch. */
  pathOf({ apiVersion, kind, namespace }: Source): Promise<string> {
    return this.specUriPath({ apiVersion, kind, metadata: namespace === undefined ? {} : { namespace } }, 'list');
  }

  /** A name is a step of the path: that of `..` would be another object's. @throws InvalidArgumentError */
  protected override async specUriPath(
    ...[spec, action]: Parameters<KubernetesObjectApi['specUriPath']>
  ): Promise<string> {
    for (const step of [spec.metadata?.name, spec.metadata?.namespace]) {
      if (step !== undefined && (/^\.\.?$/.test(step) || !step.isWellFormed())) {
        throw new InvalidArgumentError(`${JSON.stringify(step)} is no name of an object, nor of a namespace`);
      }
    }
    return super.specUriPath(spec, action);
  }

  /** The object as the API server has it now, not as a cache had it; undefined where it is not there. */
  async find<T extends KubernetesObject>({ apiVersion, kind, metadata }: Named): Promise<T | undefined> {
    try {
      return await this.read<T>({ apiVersion, kind, metadata: { ...metadata } });
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /** Sends `body` to a subresource, which the generic client of @kubernetes/client-node doesn't know: status, eviction. */
  async subresource(name: string, { apiVersion, kind, metadata }: Named, how: 'PATCH' | 'POST', body: object) {
    const path = await this.specUriPath({ apiVersion, kind, metadata: { ...metadata } }, 'read');
    const request = this.configuration.baseServer.makeRequestContext(`${path}/${name}`, HttpMethod[how]);
    request.setHeaderParam('Accept', 'application/json');
    request.setHeaderParam('Content-Type', how === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    request.setBody(JSON.stringify(body));
    return this.requestPromise<KubernetesObject>(request, 'KubernetesObject');
  }
}

type Middleware = NonNullable<NonNullable<Parameters<typeof createConfiguration>[0]>['promiseMiddleware']>[number];

/** The HTTP status of the API server's refusal; undefined where there was none, as of a connection that broke. */
export const statusOf = (error: unknown): number | undefined =>
  error instanceof ApiException ? error.code : undefined;
