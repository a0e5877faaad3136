import type { ChartEvent } from '../events.ts';

/** Placeholder. */
export function renderSvg(event: ChartEvent): string {
  return `<svg xmlns="http://www.w3.org/2000/svg"><title>${event.type}</title></svg>\n`;
}
