"""Browser: what a site's visitors get so that their browser can be the last edge: a service worker and its manifest.

Here live the scripts (plain JavaScript, without a build step), and as pure functions what of them and of the release a
visitor gets. Not here: serving them (edge/browsers/own), a manifest's form (content/manifest), signing it (origin).
"""
