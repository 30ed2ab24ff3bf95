// The site's search runs in a worker, which browsers refuse to pages that are opened as files. There, a hidden
// frame takes the worker's place. Material's offline plugin loads this instead of a script from another server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #inside;

    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<script src="${address}"></script>`;
      this.#inside = new Promise((ready) => {
        frame.addEventListener("load", () => {
          const inside = frame.contentWindow;
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          ready(inside);
        });
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      const inside = await this.#inside;
      inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
