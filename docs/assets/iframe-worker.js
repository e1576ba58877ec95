// Search where the site is read as files: browsers run no workers from there, so the search
// runs in a hidden frame. The theme would load this kind of script from another server.
"use strict";

if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.load(String(url));
    }

    async load(url) {
      const inside = this.inside;
      inside.postMessage = (data) =>
        this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...urls) =>
        urls.reduce((before, each) => before.then(() => this.script(each)), Promise.resolve());
      await this.script(url);
      const waiting = this.waiting;
      this.waiting = null;
      waiting.forEach((data) => this.postMessage(data));
    }

    script(url) {
      return new Promise((done, failed) => {
        const element = this.inside.document.createElement("script");
        element.src = url;
        element.onload = done;
        element.onerror = () => failed(new Error(`cannot load ${url}`));
        this.inside.document.body.append(element);
      });
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
