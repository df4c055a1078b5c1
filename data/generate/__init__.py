"""The generated street people and traffic signs: labelled datasets that the workshop draws itself.

people         the command: plan -> images -> manifest
looks          who a person is, and how one image of them is taken (classes and frequencies)
palette        the colour classes, and cloth colours on the border between two of them
skeleton       joints of a walking or standing body, in three dimensions
canvas         a depth buffer that draws tapered capsules and lathed shapes with normals
cloth          textures and folds
drawing        body, clothes, hair, face, shoes and bag of one person onto a canvas
scenes         streets, shop fronts, parks and stations behind the person
camera         light, shadow, exposure, blur, noise and JPEG
signs          the command: physical signs -> tracks of frames -> manifest
sign_shapes    the 43 signs, each drawn once and crisp
sign_pen       draws polygons, strokes and characters in a sign's own coordinates
sign_wear      faded paint, dirt, stickers and graffiti on one physical sign
sign_scenes    what stands behind and beside a sign
sign_camera    photographs a sign badly, again and again as the car comes nearer
writing        options, checks, and drawing shared by processes, for all commands
contact_sheet  the command that draws one sheet per attribute of any manifest
"""
