import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChartEvent } from '../events.ts';
import { renderSvg } from './index.ts';

/** Writes DIR/picture.svg, whole or not at all. */
export async function savePicture(event: ChartEvent, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  const aside = join(dir, `.picture.${process.pid}.svg`);
  await writeFile(aside, renderSvg(event));
  await rename(aside, join(dir, 'picture.svg'));
}
