import { execFile } from 'node:child_process';
import { realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { type AptRecipe, provision, provisioned } from './apt.ts';
import { exists } from './cache.ts';
import { runTool } from './fetching.ts';
import { type Found, type Jre, NO_FILES } from './java.ts';
import { type Program, temporaryFolder } from './process.ts';
import { allOnPath } from './service.ts';
import { trustStore } from './trust-store.ts';

const NAME = 'maven';
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
/** What the plugin needs. */
const LEAST_MAVEN = [3, 6, 3] as const;
const PROGRESS_MS = 2000;

const recipe: AptRecipe = {
  packages: ['maven'],
  // Its libraries without a JRE: it runs on the one that the servers run on.
  only: /^maven$|-java$/,
  program: 'usr/share/maven/bin/mvn',
  // It cannot say its version without a Java.
  library: true,
};

/** The first `mvn` of PATH that runs, else the private cache's. */
export async function findMaven(jre: Jre): Promise<Found<Program>> {
  const passedOver: string[] = [];
  for (const path of await allOnPath('mvn')) {
    const program = { path, env: await environment(jre) };
    const problem = await problemOf(program);
    if (problem === undefined) return { best: program, passedOver };
    passedOver.push(`${path} ${problem}`);
  }
  if (passedOver.length === 0) passedOver.push('there is no mvn on PATH');
  const program = await provisioned(NAME, recipe);
  return { best: program && { path: program.path, env: await environment(jre) }, passedOver };
}

/**
 * Has apt's client fetch Debian's Maven into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchMaven(jre: Jre, signal: AbortSignal | undefined): Promise<Program | undefined> {
  const program = await provision(NAME, recipe, signal);
  return program && { path: program.path, env: await environment(jre) };
}

/**
 * Copies artifacts and all that they need at run time into `folder`. Maven's own repository is a folder that is removed
 * at the end: the user's is neither read nor filled; the user's settings (mirrors, proxies) hold.
 * @param o.expected the names of the jars, to say how far it is
 * @throws ProvisionError with Maven's words, or the signal's reason
 */
export async function copyJars(o: {
  service: string;
  maven: Program;
  artifacts: readonly string[];
  alone: boolean;
  folder: string;
  expected: ReadonlySet<string>;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const work = await temporaryFolder(NAME);
  try {
    await writeFile(join(work.path, 'pom.xml'), pom(o.artifacts, o.alone));
    const { MAVEN_OPTS = '', ...env } = o.maven.env ?? {};
    const trusted = MAVEN_OPTS.includes(TRUST_STORE) ? join(work.path, 'cacerts') : undefined;
    if (trusted !== undefined) await writeFile(trusted, trustStore());
    const seen = new Set<string>();
    let said = performance.now();
    const count = o.expected.size === 1 ? 'one jar' : o.expected.size === 0 ? 'jars' : `${o.expected.size} jars`;
    announce(`${o.service}: Maven fetches ${count} …`);
    await runTool({
      service: o.service,
      command: o.maven.path,
      args: [
        '--batch-mode',
        `-Dmaven.repo.local=${join(work.path, 'repository')}`,
        `${PLUGIN}:copy-dependencies`,
        '-DincludeScope=runtime',
        `-DoutputDirectory=${o.folder}`,
      ],
      cwd: work.path,
      signal: o.signal,
      env: { ...env, MAVEN_OPTS: MAVEN_OPTS.replace(TRUST_STORE, trusted ?? '') },
      onLine: (line) => {
        const jar = /Downloaded from .*\/([^/ ]+\.jar)/.exec(line)?.[1];
        if (jar === undefined || !o.expected.has(jar)) return;
        seen.add(jar);
        if (performance.now() - said < PROGRESS_MS) return;
        said = performance.now();
        announce(`${o.service}: ${seen.size} of ${o.expected.size} jars …`);
      },
      explain: explained,
      remedy:
        'Connect this machine to a Maven repository (~/.m2/settings.xml names mirrors and proxies) and try again; LABS_PROVISION=never stops such attempts.',
    });
  } finally {
    await work.settle();
  }
}

const TRUST_STORE = '@trusted@';

/** Maven runs on `jre`. The JRE of a package that was only unpacked trusts nobody: it gets the list that Node has. */
async function environment(jre: Jre): Promise<Record<string, string>> {
  const options = (...own: string[]) => [process.env['MAVEN_OPTS'], ...own].filter(Boolean).join(' ');
  if (jre.from === 'PATH') return { MAVEN_OPTS: options(NO_FILES) };
  const home = dirname(dirname(await realpath(jre.path)));
  const trusting = await exists(join(home, 'lib/security/cacerts'));
  const trusted = trusting ? [] : [`-Djavax.net.ssl.trustStore=${TRUST_STORE}`];
  return { ...jre.env, JAVA_HOME: home, MAVEN_SKIP_RC: '1', MAVEN_OPTS: options(NO_FILES, ...trusted) };
}

async function problemOf({ path, env }: Program): Promise<string | undefined> {
  const run = promisify(execFile)(path, ['--version'], { env: { ...process.env, ...env }, timeout: 30_000 });
  const answer = await run.then(
    ({ stdout }) => ({ stdout, words: 'it says no version' }),
    (error: unknown) => ({ stdout: '', words: error instanceof Error ? error.message : String(error) }),
  );
  const version = /Apache Maven (\d+)\.(\d+)\.(\d+)/.exec(answer.stdout)?.slice(1).map(Number);
  if (version === undefined) return `does not run (${answer.words.trim().split('\n').slice(-1).join('')})`;
  const [first = 0] = version.map((part, index) => part - (LEAST_MAVEN[index] ?? 0)).filter((step) => step !== 0);
  return first < 0 ? `is Maven ${version.join('.')}, ${LEAST_MAVEN.join('.')} or newer is needed` : undefined;
}

/** `group:artifact:version`, or with a classifier as a fourth part. */
function pom(artifacts: readonly string[], alone: boolean): string {
  const without = '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>';
  const dependencies = artifacts.map((coordinates) => {
    const [group, artifact, version, classifier] = coordinates.split(':');
    return `    <dependency>
      <groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>
      ${classifier === undefined ? '' : `<classifier>${classifier}</classifier>`}${alone ? without : ''}
    </dependency>`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>concept-labs</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
${dependencies.join('\n')}
  </dependencies>
</project>
`;
}

/** Maven's errors, once each, without the advice that follows them. */
function explained(errors: string, output: string): string {
  const lines = `${output}\n${errors}`.split('\n').flatMap((line) => /^\[ERROR\] +(.*)$/.exec(line)?.[1]?.trim() || []);
  const advice = lines.findIndex((line) => /re-run Maven/i.test(line));
  const told = [...new Set(advice < 0 ? lines : lines.slice(0, advice))].slice(0, 8);
  return told.length > 0 ? told.join('\n') : `${errors}\n${output}`.trim().split('\n').slice(-8).join('\n');
}
