import { BadSettingError, UnreachableUrlError } from './errors.ts';
import { FaultyNode } from './faults.ts';
import type { KubernetesServers } from './kubernetes.ts';
import { handle } from './servers.ts';

const NAME = 'kubernetes';
const DEFAULT_PORT = 443;

/**
 * A namespace in the cluster that KUBECONFIG's current context names.
 * @throws BadSettingError, UnreachableUrlError
 */
export async function adopt(namespace: string): Promise<KubernetesServers> {
  const { CoreV1Api, KubeConfig, VersionApi } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new BadSettingError(NAME, `KUBECONFIG cannot be read: ${words}. Correct it, or unset it.`);
  }
  const url = config.getCurrentCluster()?.server;
  if (url === undefined) {
    throw new BadSettingError(NAME, 'KUBECONFIG has no current context. Set one, or unset KUBECONFIG.');
  }
  const core = config.makeApiClient(CoreV1Api);
  const version = await config
    .makeApiClient(VersionApi)
    .getCode()
    .then(({ gitVersion }) => gitVersion)
    .catch((error: unknown) => {
      throw new UnreachableUrlError(NAME, 'KUBECONFIG', url, reasonOf(error), { cause: error });
    });
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const why = 'it is not ours: KUBECONFIG names it. Unset KUBECONFIG for the scenes that need faults.';
  const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: why });
  const common = handle({
    service: NAME,
    origin: 'url',
    version: version.replace(/^v/, ''),
    count: 1,
    inspect: [`kubectl --namespace ${namespace} get all`],
    faults: false,
    namespace,
    close: async () => {
      await node.close({ heal: false });
      await core.deleteNamespace({ name: namespace });
    },
  });
  return { ...common, url, node, kubeconfig: config.exportConfig(), ours: false };
}

/** `fetch` says no more than that it failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
