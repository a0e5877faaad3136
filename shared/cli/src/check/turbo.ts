import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectServices, type ServiceReport } from '@shared/services';
import type { SuiteResult } from '@shared/testkit';
import { isRecord, type Lab } from '../labs.ts';
import { bins, execBin } from './exec.ts';

/** Where a suite leaves what it saw; turbo keeps it, and puts it back. */
export const suiteResult = '.results/test.json';

/**
 * The variables that a suite runs with. Nobody who runs the tests asked for telemetry, an update, or a second look at the
 * lockfile per package. A suite that was skipped for want of a server runs again once it is there.
 */
export async function suiteEnv(): Promise<NodeJS.ProcessEnv> {
  const reports = await inspectServices();
  return {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
    pnpm_config_verify_deps_before_run: 'false',
    pnpm_config_loglevel: 'error',
    LAB_SERVERS: serversKey(reports),
  };
}

/** The same before and after a server's first use: that it was fetched meanwhile is no news of it. */
export function serversKey(reports: readonly Pick<ServiceReport, 'service' | 'origin' | 'version' | 'installed'>[]) {
  const versionOf = ({ installed, version }: (typeof reports)[number]) => (installed ? `:${version ?? ''}` : '');
  return reports.map((report) => `${report.service}=${report.origin ?? 'none'}${versionOf(report)}`).join();
}

/**
 * What `pnpm test` saw on exactly these files, servers and variables, by the lab's folder: it need not be seen again. A
 * suite that failed, or that something has changed for, is not among them.
 */
export async function provenSuites(root: string, labs: readonly Lab[]): Promise<ReadonlyMap<string, SuiteResult>> {
  const env = await suiteEnv();
  const turbo = (some: readonly Lab[], ...flags: readonly string[]) =>
    execBin(bins.turbo(), ['run', 'test', ...some.map(({ name }) => `--filter=@labs/${name}`), ...flags], {
      cwd: root,
      env,
    });
  const plan = await turbo(labs, '--dry=json');
  if (plan.code !== 0) return new Map();
  const kept = keptPackages(JSON.parse(plan.stdout));
  const proven = labs.filter(({ name }) => kept.has(`@labs/${name}`));
  if (proven.length === 0) return new Map();
  // What lies there may be of another day; what turbo puts there is of these files.
  await Promise.all(proven.map(({ dir }) => rm(join(dir, suiteResult), { force: true })));
  if ((await turbo(proven, '--ui=stream')).code !== 0) return new Map();
  return new Map(
    await Promise.all(
      proven.map(
        async ({ dir }): Promise<[string, SuiteResult]> => [
          dir,
          JSON.parse(await readFile(join(dir, suiteResult), 'utf8')),
        ],
      ),
    ),
  );
}

function keptPackages(plan: unknown): ReadonlySet<unknown> {
  const tasks = isRecord(plan) && Array.isArray(plan['tasks']) ? plan['tasks'].filter(isRecord) : [];
  return new Set(
    tasks
      .filter(({ task, cache }) => task === 'test' && isRecord(cache) && cache['status'] === 'HIT')
      .map((task) => task['package']),
  );
}
