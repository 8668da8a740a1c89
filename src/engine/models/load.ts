import type { DeviceChoice } from "../api/model";
import { isTranslation } from "./folder";
import { LoadedModel } from "./loadedModel";
import { LoadedTranslator } from "./loadedTranslator";

export type AnyLoaded = LoadedModel | LoadedTranslator;

/** Loads a decoder or a translator. */
export const loadModel = async (dir: string, choice: DeviceChoice): Promise<AnyLoaded> =>
  (await isTranslation(dir)) ? LoadedTranslator.open(dir, choice) : LoadedModel.open(dir, choice);
