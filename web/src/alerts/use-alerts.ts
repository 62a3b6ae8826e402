// The alerts as they are now. Rules are evaluated also when nothing comes, so they are asked for again by themselves.

import { type Alerts, address } from '../api';
import { BUNDLE } from '../bundle';
import { type Answer, useRepeated } from '../query';

/** As often as the server evaluates. */
const EVERY_MS = 5000;

export function useAlerts(): Answer<Alerts> {
  return useRepeated(BUNDLE ? null : address('alerts'), EVERY_MS);
}
