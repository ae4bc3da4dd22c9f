# METADATA
# title: The author is not held
# description: A person's kill or an automatic abort holds an author's proposals until people lift it.
# custom: {code: author.held, severity: constitution, source: "policies/README.md#author"}
# authors: [evoguard]
package evoguard.rules.author.held

import data.evoguard.lib

deny contains lib.finding("author.held", "the author is held", "", lib.at(["author", "id"])) if not input.author.held == false
