// Writes the list of a Java server's jars anew, from what Maven brings now: `… run lock kafka`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sumsOf } from './jars.ts';
import { findJre } from './java.ts';
import { copyJars, findMaven } from './maven.ts';
import { temporaryFolder } from './process.ts';
import { services } from './registry.ts';

const [name] = process.argv.slice(2);
const recipe = services.find((service) => service.name === name)?.jars;
const jre = (await findJre(recipe?.mostJava)).best;
const maven = jre && (await findMaven(jre)).best;
if (name === undefined || recipe === undefined || maven === undefined) {
  process.stderr.write('run lock SERVICE: the name of a Java server, with java and mvn on PATH\n');
  process.exit(2);
}
const work = await temporaryFolder('lock');
try {
  const folder = join(work.path, 'jars');
  const { artifacts, alone = false } = recipe;
  await copyJars({ service: name, maven, artifacts, alone, folder, expected: new Set(), signal: undefined });
  const sums = await sumsOf(folder);
  await writeFile(recipe.lock, [...sums].map(([jar, sum]) => `${sum}  ${jar}\n`).join(''));
  process.stdout.write(`${sums.size} jars\n`);
} finally {
  await work.settle();
}
