import { beyond } from './beyond.ts';
import { border } from './border.ts';
import { code } from './code.ts';
import { data } from './data.ts';

export type { Twin } from './twin.ts';

/** Planted faults, each beside the same program without it. */
export const corpus = [...code, ...data, ...border, ...beyond];
